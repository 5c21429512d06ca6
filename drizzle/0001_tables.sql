CREATE TABLE "user_api_keys" (
	"user_id" uuid NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid,
	"kind" text NOT NULL,
	"name" text,
	"key_id" text NOT NULL,
	"prefix" text NOT NULL,
	"secret_sha256" "bytea" NOT NULL,
	"scopes" text[] NOT NULL,
	"slot" smallint,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp with time zone,
	"retires_at" timestamp with time zone,
	"revoked_at" timestamp with time zone,
	"last_used_at" timestamp with time zone,
	CONSTRAINT "user_api_keys_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_api_keys_key_id_key" UNIQUE("user_id","key_id"),
	CONSTRAINT "user_api_keys_kind_known" CHECK ("user_api_keys"."kind" in ('agent', 'personal')),
	CONSTRAINT "user_api_keys_agent_bound" CHECK (("user_api_keys"."kind" = 'agent') = ("user_api_keys"."router_id" is not null and "user_api_keys"."slot" is not null)),
	CONSTRAINT "user_api_keys_slot_known" CHECK ("user_api_keys"."slot" in (1, 2)),
	CONSTRAINT "user_api_keys_sha256_length" CHECK (octet_length("user_api_keys"."secret_sha256") = 32)
);
--> statement-breakpoint
ALTER TABLE "user_api_keys" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_login_sessions" (
	"user_id" uuid NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"public_id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"counter" integer DEFAULT 0 NOT NULL,
	"rotated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"device" text,
	"address" "inet",
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp with time zone DEFAULT now() NOT NULL,
	"idle_expires_at" timestamp with time zone NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"ended_at" timestamp with time zone,
	"end_reason" text,
	CONSTRAINT "user_login_sessions_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_login_sessions_public_id_key" UNIQUE("user_id","public_id"),
	CONSTRAINT "user_login_sessions_end_reason_known" CHECK ("user_login_sessions"."end_reason" in ('logout', 'reuse', 'revoked', 'password-changed', 'deactivated'))
);
--> statement-breakpoint
ALTER TABLE "user_login_sessions" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_recovery_codes" (
	"user_id" uuid NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"code_sha256" "bytea" NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"used_at" timestamp with time zone,
	CONSTRAINT "user_recovery_codes_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_recovery_codes_sha256_key" UNIQUE("user_id","code_sha256")
);
--> statement-breakpoint
ALTER TABLE "user_recovery_codes" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_tokens" (
	"user_id" uuid NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"purpose" text NOT NULL,
	"token_sha256" "bytea" NOT NULL,
	"email" text,
	"password_version" integer NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"used_at" timestamp with time zone,
	CONSTRAINT "user_tokens_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_tokens_sha256_key" UNIQUE("user_id","token_sha256"),
	CONSTRAINT "user_tokens_purpose_known" CHECK ("user_tokens"."purpose" in ('verify-email', 'reset-password', 'change-email', 'invitation', 'exchange', 'second-factor'))
);
--> statement-breakpoint
ALTER TABLE "user_tokens" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_blacklists" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_id" uuid,
	"mac" "macaddr",
	"ip" "inet",
	"entry_name" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"reason" text,
	CONSTRAINT "user_blacklists_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_blacklists_device_key" UNIQUE("user_id","router_id","device_id"),
	CONSTRAINT "user_blacklists_mac_key" UNIQUE("user_id","router_id","mac"),
	CONSTRAINT "user_blacklists_ip_key" UNIQUE("user_id","router_id","ip"),
	CONSTRAINT "user_blacklists_one_subject" CHECK (num_nonnulls("user_blacklists"."device_id", "user_blacklists"."mac", "user_blacklists"."ip") = 1)
);
--> statement-breakpoint
ALTER TABLE "user_blacklists" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_whitelists" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_id" uuid,
	"mac" "macaddr",
	"ip" "inet",
	"entry_name" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"description" text,
	CONSTRAINT "user_whitelists_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_whitelists_device_key" UNIQUE("user_id","router_id","device_id"),
	CONSTRAINT "user_whitelists_mac_key" UNIQUE("user_id","router_id","mac"),
	CONSTRAINT "user_whitelists_ip_key" UNIQUE("user_id","router_id","ip"),
	CONSTRAINT "user_whitelists_one_subject" CHECK (num_nonnulls("user_whitelists"."device_id", "user_whitelists"."mac", "user_whitelists"."ip") = 1)
);
--> statement-breakpoint
ALTER TABLE "user_whitelists" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_audit_log" (
	"user_id" uuid NOT NULL,
	"sequence" bigint NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"actor_kind" text NOT NULL,
	"actor_id" uuid,
	"act" text NOT NULL,
	"target_kind" text,
	"target_id" uuid,
	"outcome" text NOT NULL,
	"address" "inet",
	"detail" jsonb,
	"previous_hash" "bytea",
	"hash" "bytea" NOT NULL,
	CONSTRAINT "user_audit_log_pkey" PRIMARY KEY("user_id","sequence"),
	CONSTRAINT "user_audit_log_actor_known" CHECK ("user_audit_log"."actor_kind" in ('user', 'agent', 'admin', 'system')),
	CONSTRAINT "user_audit_log_outcome_known" CHECK ("user_audit_log"."outcome" in ('success', 'failure'))
);
--> statement-breakpoint
ALTER TABLE "user_audit_log" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_blocked_devices" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_id" uuid,
	"group_id" uuid,
	"block_type" text NOT NULL,
	"reason" text,
	"blocked_at" timestamp with time zone DEFAULT now() NOT NULL,
	"until" timestamp with time zone,
	"unblocked_at" timestamp with time zone,
	CONSTRAINT "user_blocked_devices_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_blocked_devices_active_key" UNIQUE NULLS NOT DISTINCT("user_id","router_id","device_id","group_id","block_type","unblocked_at"),
	CONSTRAINT "user_blocked_devices_type_known" CHECK ("user_blocked_devices"."block_type" in ('manual', 'pause')),
	CONSTRAINT "user_blocked_devices_one_target" CHECK (num_nonnulls("user_blocked_devices"."device_id", "user_blocked_devices"."group_id") <= 1),
	CONSTRAINT "user_blocked_devices_pause_ends" CHECK (("user_blocked_devices"."block_type" = 'pause') = ("user_blocked_devices"."until" is not null))
);
--> statement-breakpoint
ALTER TABLE "user_blocked_devices" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_device_interfaces" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_id" uuid NOT NULL,
	"mac" "macaddr",
	"ips" "inet"[] DEFAULT '{}' NOT NULL,
	"first_seen" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_device_interfaces_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_device_interfaces_mac_key" UNIQUE("user_id","router_id","mac")
);
--> statement-breakpoint
ALTER TABLE "user_device_interfaces" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_device_merges" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_id" uuid NOT NULL,
	"merged_device_id" uuid NOT NULL,
	"interfaces" uuid[] NOT NULL,
	"filled" text[] NOT NULL,
	"merged_at" timestamp with time zone DEFAULT now() NOT NULL,
	"undone_at" timestamp with time zone,
	CONSTRAINT "user_device_merges_pkey" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
ALTER TABLE "user_device_merges" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_devices" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_name" text,
	"device_type" text,
	"manufacturer" text,
	"hostname" text,
	"detected_manufacturer" text,
	"is_infrastructure" boolean DEFAULT false NOT NULL,
	"mine" boolean DEFAULT false NOT NULL,
	"group_id" uuid,
	"rate" integer,
	"approval" text DEFAULT 'approved' NOT NULL,
	"merged_into" uuid,
	"first_seen" timestamp with time zone DEFAULT now() NOT NULL,
	"last_seen" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_devices_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_devices_router_key" UNIQUE("user_id","id","router_id"),
	CONSTRAINT "user_devices_approval_known" CHECK ("user_devices"."approval" in ('approved', 'held', 'dismissed')),
	CONSTRAINT "user_devices_rate_positive" CHECK ("user_devices"."rate" > 0)
);
--> statement-breakpoint
ALTER TABLE "user_devices" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_device_groups" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"group_name" text NOT NULL,
	"rate" integer,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_device_groups_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_device_groups_router_key" UNIQUE("user_id","id","router_id"),
	CONSTRAINT "user_device_groups_name_key" UNIQUE("user_id","router_id","group_name"),
	CONSTRAINT "user_device_groups_rate_positive" CHECK ("user_device_groups"."rate" > 0)
);
--> statement-breakpoint
ALTER TABLE "user_device_groups" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "oui_prefixes" (
	"prefix" bigint NOT NULL,
	"bits" smallint NOT NULL,
	"organization" text NOT NULL,
	CONSTRAINT "oui_prefixes_pkey" PRIMARY KEY("prefix","bits"),
	CONSTRAINT "oui_prefixes_bits_known" CHECK ("oui_prefixes"."bits" in (24, 28, 36))
);
--> statement-breakpoint
ALTER TABLE "oui_prefixes" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_routers" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_name" text NOT NULL,
	"ip" "inet",
	"tunnel_port" integer,
	"is_active" boolean DEFAULT true NOT NULL,
	"time_zone" text DEFAULT 'UTC' NOT NULL,
	"mode" text DEFAULT 'none' NOT NULL,
	"action" text DEFAULT 'block' NOT NULL,
	"limit_rate" integer,
	"full_rate" integer,
	"new_devices" text DEFAULT 'allow' NOT NULL,
	"last_seen" timestamp with time zone,
	"applied_revision" text,
	"applied_at" timestamp with time zone,
	"agent_error" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_routers_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_routers_mode_known" CHECK ("user_routers"."mode" in ('none', 'whitelist', 'blacklist')),
	CONSTRAINT "user_routers_action_known" CHECK ("user_routers"."action" in ('block', 'limit')),
	CONSTRAINT "user_routers_new_devices_known" CHECK ("user_routers"."new_devices" in ('allow', 'hold')),
	CONSTRAINT "user_routers_rates_positive" CHECK ("user_routers"."limit_rate" > 0 and "user_routers"."full_rate" > 0),
	CONSTRAINT "user_routers_tunnel_port_range" CHECK ("user_routers"."tunnel_port" between 1 and 65535)
);
--> statement-breakpoint
ALTER TABLE "user_routers" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_scans" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"router_id" uuid NOT NULL,
	"scan_id" text NOT NULL,
	"body_sha256" "bytea" NOT NULL,
	"taken_at" timestamp with time zone NOT NULL,
	"received_at" timestamp with time zone DEFAULT now() NOT NULL,
	"answer" jsonb,
	CONSTRAINT "user_scans_pkey" PRIMARY KEY("user_id","router_id","scan_id"),
	CONSTRAINT "user_scans_sha256_length" CHECK (octet_length("user_scans"."body_sha256") = 32)
);
--> statement-breakpoint
ALTER TABLE "user_scans" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_schedule_overrides" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_id" uuid NOT NULL,
	"decision" text NOT NULL,
	"until" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_schedule_overrides_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_schedule_overrides_decision_known" CHECK ("user_schedule_overrides"."decision" in ('allow', 'block'))
);
--> statement-breakpoint
ALTER TABLE "user_schedule_overrides" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_schedules" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid NOT NULL,
	"device_id" uuid,
	"group_id" uuid,
	"schedule_kind" text NOT NULL,
	"days" text[] NOT NULL,
	"start_time" time NOT NULL,
	"end_time" time NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_schedules_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_schedules_kind_known" CHECK ("user_schedules"."schedule_kind" in ('blocked-during', 'allowed-only-during')),
	CONSTRAINT "user_schedules_one_target" CHECK (num_nonnulls("user_schedules"."device_id", "user_schedules"."group_id") = 1),
	CONSTRAINT "user_schedules_days_known" CHECK ("user_schedules"."days" <@ array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] and cardinality("user_schedules"."days") between 1 and 7)
);
--> statement-breakpoint
ALTER TABLE "user_schedules" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_settings" (
	"user_id" uuid DEFAULT ctx.uid() NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"router_id" uuid,
	"setting_key" text NOT NULL,
	"setting_value" jsonb NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_settings_pkey" PRIMARY KEY("user_id","id"),
	CONSTRAINT "user_settings_key_key" UNIQUE NULLS NOT DISTINCT("user_id","router_id","setting_key")
);
--> statement-breakpoint
ALTER TABLE "user_settings" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_credentials" (
	"user_id" uuid PRIMARY KEY NOT NULL,
	"password_hash" text,
	"has_password" boolean GENERATED ALWAYS AS (password_hash is not null) STORED,
	"totp_secret" "bytea",
	"totp_confirmed_at" timestamp with time zone,
	"totp_last_step" bigint,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_credentials_password_hash_format" CHECK ("user_credentials"."password_hash" ~ '^(np1:)?\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$')
);
--> statement-breakpoint
ALTER TABLE "user_credentials" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "users" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"email" text NOT NULL,
	"google_id" text,
	"full_name" text,
	"avatar_url" text,
	"role" text DEFAULT 'user' NOT NULL,
	"is_active" boolean DEFAULT true NOT NULL,
	"email_verified_at" timestamp with time zone,
	"password_version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_email_key" UNIQUE("email"),
	CONSTRAINT "users_google_id_key" UNIQUE("google_id"),
	CONSTRAINT "users_email_normalised" CHECK ("users"."email" = lower(btrim("users"."email"))),
	CONSTRAINT "users_role_known" CHECK ("users"."role" in ('user', 'admin'))
);
--> statement-breakpoint
ALTER TABLE "users" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "user_api_keys" ADD CONSTRAINT "user_api_keys_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_api_keys" ADD CONSTRAINT "user_api_keys_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_login_sessions" ADD CONSTRAINT "user_login_sessions_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_recovery_codes" ADD CONSTRAINT "user_recovery_codes_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_tokens" ADD CONSTRAINT "user_tokens_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_blacklists" ADD CONSTRAINT "user_blacklists_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_blacklists" ADD CONSTRAINT "user_blacklists_device_fk" FOREIGN KEY ("user_id","router_id","device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_whitelists" ADD CONSTRAINT "user_whitelists_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_whitelists" ADD CONSTRAINT "user_whitelists_device_fk" FOREIGN KEY ("user_id","router_id","device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_blocked_devices" ADD CONSTRAINT "user_blocked_devices_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_blocked_devices" ADD CONSTRAINT "user_blocked_devices_device_fk" FOREIGN KEY ("user_id","router_id","device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_blocked_devices" ADD CONSTRAINT "user_blocked_devices_group_fk" FOREIGN KEY ("user_id","router_id","group_id") REFERENCES "public"."user_device_groups"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_device_interfaces" ADD CONSTRAINT "user_device_interfaces_device_fk" FOREIGN KEY ("user_id","router_id","device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_device_merges" ADD CONSTRAINT "user_device_merges_device_fk" FOREIGN KEY ("user_id","router_id","device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_device_merges" ADD CONSTRAINT "user_device_merges_merged_device_fk" FOREIGN KEY ("user_id","router_id","merged_device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_devices" ADD CONSTRAINT "user_devices_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_devices" ADD CONSTRAINT "user_devices_group_fk" FOREIGN KEY ("user_id","router_id","group_id") REFERENCES "public"."user_device_groups"("user_id","router_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_devices" ADD CONSTRAINT "user_devices_merged_into_fk" FOREIGN KEY ("user_id","router_id","merged_into") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_device_groups" ADD CONSTRAINT "user_device_groups_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_routers" ADD CONSTRAINT "user_routers_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_scans" ADD CONSTRAINT "user_scans_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_schedule_overrides" ADD CONSTRAINT "user_schedule_overrides_device_fk" FOREIGN KEY ("user_id","router_id","device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_schedules" ADD CONSTRAINT "user_schedules_device_fk" FOREIGN KEY ("user_id","router_id","device_id") REFERENCES "public"."user_devices"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_schedules" ADD CONSTRAINT "user_schedules_group_fk" FOREIGN KEY ("user_id","router_id","group_id") REFERENCES "public"."user_device_groups"("user_id","router_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_settings" ADD CONSTRAINT "user_settings_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_settings" ADD CONSTRAINT "user_settings_router_fk" FOREIGN KEY ("user_id","router_id") REFERENCES "public"."user_routers"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_credentials" ADD CONSTRAINT "user_credentials_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "user_api_keys_live_slot_key" ON "user_api_keys" USING btree ("user_id","router_id","slot") WHERE "user_api_keys"."revoked_at" is null;--> statement-breakpoint
CREATE INDEX "user_audit_log_at_idx" ON "user_audit_log" USING btree ("user_id","at" DESC NULLS FIRST,"sequence" DESC NULLS FIRST);--> statement-breakpoint
CREATE INDEX "user_blocked_devices_router_idx" ON "user_blocked_devices" USING btree ("user_id","router_id","blocked_at" DESC NULLS FIRST);--> statement-breakpoint
CREATE INDEX "user_blocked_devices_device_idx" ON "user_blocked_devices" USING btree ("user_id","router_id","device_id");--> statement-breakpoint
CREATE INDEX "user_blocked_devices_group_idx" ON "user_blocked_devices" USING btree ("user_id","router_id","group_id");--> statement-breakpoint
CREATE INDEX "user_device_interfaces_device_idx" ON "user_device_interfaces" USING btree ("user_id","device_id");--> statement-breakpoint
CREATE INDEX "user_device_merges_device_idx" ON "user_device_merges" USING btree ("user_id","router_id","device_id");--> statement-breakpoint
CREATE INDEX "user_device_merges_merged_device_idx" ON "user_device_merges" USING btree ("user_id","router_id","merged_device_id");--> statement-breakpoint
CREATE INDEX "user_devices_merged_into_idx" ON "user_devices" USING btree ("user_id","router_id","merged_into") WHERE "user_devices"."merged_into" is not null;--> statement-breakpoint
CREATE INDEX "user_devices_group_idx" ON "user_devices" USING btree ("user_id","router_id","group_id") WHERE "user_devices"."group_id" is not null;--> statement-breakpoint
CREATE INDEX "user_scans_received_at_idx" ON "user_scans" USING btree ("user_id","router_id","received_at");--> statement-breakpoint
CREATE INDEX "user_schedule_overrides_device_idx" ON "user_schedule_overrides" USING btree ("user_id","router_id","device_id");--> statement-breakpoint
CREATE INDEX "user_schedules_device_idx" ON "user_schedules" USING btree ("user_id","router_id","device_id");--> statement-breakpoint
CREATE INDEX "user_schedules_group_idx" ON "user_schedules" USING btree ("user_id","router_id","group_id");--> statement-breakpoint
CREATE POLICY "user_api_keys_auth" ON "user_api_keys" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING ("user_api_keys"."user_id" = (select ctx.uid())) WITH CHECK ("user_api_keys"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_api_keys_context" ON "user_api_keys" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_login_sessions_auth" ON "user_login_sessions" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_login_sessions_context" ON "user_login_sessions" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_recovery_codes_auth" ON "user_recovery_codes" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_tokens_auth" ON "user_tokens" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_blacklists_user" ON "user_blacklists" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_blacklists"."user_id" = (select ctx.uid())) WITH CHECK ("user_blacklists"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_blacklists_agent" ON "user_blacklists" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_blacklists"."user_id" = (select ctx.agent_uid()) and "user_blacklists"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_blacklists"."user_id" = (select ctx.agent_uid()) and "user_blacklists"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_whitelists_user" ON "user_whitelists" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_whitelists"."user_id" = (select ctx.uid())) WITH CHECK ("user_whitelists"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_whitelists_agent" ON "user_whitelists" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_whitelists"."user_id" = (select ctx.agent_uid()) and "user_whitelists"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_whitelists"."user_id" = (select ctx.agent_uid()) and "user_whitelists"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_audit_log_user" ON "user_audit_log" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_audit_log"."user_id" = (select ctx.uid())) WITH CHECK ("user_audit_log"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_audit_log_auth" ON "user_audit_log" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_blocked_devices_user" ON "user_blocked_devices" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_blocked_devices"."user_id" = (select ctx.uid())) WITH CHECK ("user_blocked_devices"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_blocked_devices_agent" ON "user_blocked_devices" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_blocked_devices"."user_id" = (select ctx.agent_uid()) and "user_blocked_devices"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_blocked_devices"."user_id" = (select ctx.agent_uid()) and "user_blocked_devices"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_device_interfaces_user" ON "user_device_interfaces" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_device_interfaces"."user_id" = (select ctx.uid())) WITH CHECK ("user_device_interfaces"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_device_interfaces_agent" ON "user_device_interfaces" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_device_interfaces"."user_id" = (select ctx.agent_uid()) and "user_device_interfaces"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_device_interfaces"."user_id" = (select ctx.agent_uid()) and "user_device_interfaces"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_device_merges_user" ON "user_device_merges" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_device_merges"."user_id" = (select ctx.uid())) WITH CHECK ("user_device_merges"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_devices_user" ON "user_devices" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_devices"."user_id" = (select ctx.uid())) WITH CHECK ("user_devices"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_devices_agent" ON "user_devices" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_devices"."user_id" = (select ctx.agent_uid()) and "user_devices"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_devices"."user_id" = (select ctx.agent_uid()) and "user_devices"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_device_groups_user" ON "user_device_groups" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_device_groups"."user_id" = (select ctx.uid())) WITH CHECK ("user_device_groups"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_device_groups_agent" ON "user_device_groups" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_device_groups"."user_id" = (select ctx.agent_uid()) and "user_device_groups"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_device_groups"."user_id" = (select ctx.agent_uid()) and "user_device_groups"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "oui_prefixes_everyone" ON "oui_prefixes" AS PERMISSIVE FOR SELECT TO "netpilot_agent", "netpilot_user" USING (true);--> statement-breakpoint
CREATE POLICY "user_routers_user" ON "user_routers" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_routers"."user_id" = (select ctx.uid())) WITH CHECK ("user_routers"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_routers_agent" ON "user_routers" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_routers"."user_id" = (select ctx.agent_uid()) and "user_routers"."id" = (select ctx.agent_router())) WITH CHECK ("user_routers"."user_id" = (select ctx.agent_uid()) and "user_routers"."id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_routers_context" ON "user_routers" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_scans_user" ON "user_scans" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_scans"."user_id" = (select ctx.uid())) WITH CHECK ("user_scans"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_scans_agent" ON "user_scans" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_scans"."user_id" = (select ctx.agent_uid()) and "user_scans"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_scans"."user_id" = (select ctx.agent_uid()) and "user_scans"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_schedule_overrides_user" ON "user_schedule_overrides" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_schedule_overrides"."user_id" = (select ctx.uid())) WITH CHECK ("user_schedule_overrides"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_schedule_overrides_agent" ON "user_schedule_overrides" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_schedule_overrides"."user_id" = (select ctx.agent_uid()) and "user_schedule_overrides"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_schedule_overrides"."user_id" = (select ctx.agent_uid()) and "user_schedule_overrides"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_schedules_user" ON "user_schedules" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_schedules"."user_id" = (select ctx.uid())) WITH CHECK ("user_schedules"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_schedules_agent" ON "user_schedules" AS PERMISSIVE FOR ALL TO "netpilot_agent" USING ("user_schedules"."user_id" = (select ctx.agent_uid()) and "user_schedules"."router_id" = (select ctx.agent_router())) WITH CHECK ("user_schedules"."user_id" = (select ctx.agent_uid()) and "user_schedules"."router_id" = (select ctx.agent_router()));--> statement-breakpoint
CREATE POLICY "user_settings_user" ON "user_settings" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("user_settings"."user_id" = (select ctx.uid())) WITH CHECK ("user_settings"."user_id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "user_credentials_auth" ON "user_credentials" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_credentials_context" ON "user_credentials" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "users_user" ON "users" AS PERMISSIVE FOR ALL TO "netpilot_user" USING ("users"."id" = (select ctx.uid())) WITH CHECK ("users"."id" = (select ctx.uid()));--> statement-breakpoint
CREATE POLICY "users_auth" ON "users" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "users_context" ON "users" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);