CREATE TABLE "rate_counters" (
	"bucket" text NOT NULL,
	"key" "bytea" NOT NULL,
	"window_start" timestamp with time zone NOT NULL,
	"count" integer NOT NULL,
	CONSTRAINT "rate_counters_pkey" PRIMARY KEY("bucket","key")
);
--> statement-breakpoint
ALTER TABLE "rate_counters" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "sign_in_attempts" (
	"key" "bytea" PRIMARY KEY NOT NULL,
	"failures" integer NOT NULL,
	"last_failed_at" timestamp with time zone DEFAULT now() NOT NULL,
	"locked_until" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "sign_in_attempts" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "user_audit_heads" (
	"user_id" uuid PRIMARY KEY NOT NULL,
	"sequence" bigint NOT NULL,
	"hash" "bytea"
);
--> statement-breakpoint
ALTER TABLE "user_audit_heads" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "suspended_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "user_audit_log" ADD COLUMN "salt" "bytea";--> statement-breakpoint
ALTER TABLE "user_audit_log" ADD COLUMN "personal_sha256" "bytea";--> statement-breakpoint
DROP POLICY "user_audit_log_auth" ON "user_audit_log" CASCADE;--> statement-breakpoint
CREATE POLICY "user_login_sessions_admin" ON "user_login_sessions" AS PERMISSIVE FOR ALL TO "netpilot_admin" USING ((select ctx.is_admin())) WITH CHECK ((select ctx.is_admin()));--> statement-breakpoint
CREATE POLICY "user_tokens_admin" ON "user_tokens" AS PERMISSIVE FOR ALL TO "netpilot_admin" USING ((select ctx.is_admin())) WITH CHECK ((select ctx.is_admin()));--> statement-breakpoint
CREATE POLICY "user_tokens_context" ON "user_tokens" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_audit_log_admin" ON "user_audit_log" AS PERMISSIVE FOR ALL TO "netpilot_admin" USING ((select ctx.is_admin())) WITH CHECK ((select ctx.is_admin()));--> statement-breakpoint
CREATE POLICY "user_audit_log_context" ON "user_audit_log" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_devices_admin" ON "user_devices" AS PERMISSIVE FOR ALL TO "netpilot_admin" USING ((select ctx.is_admin())) WITH CHECK ((select ctx.is_admin()));--> statement-breakpoint
CREATE POLICY "user_routers_admin" ON "user_routers" AS PERMISSIVE FOR ALL TO "netpilot_admin" USING ((select ctx.is_admin())) WITH CHECK ((select ctx.is_admin()));--> statement-breakpoint
CREATE POLICY "user_credentials_admin" ON "user_credentials" AS PERMISSIVE FOR ALL TO "netpilot_admin" USING ((select ctx.is_admin())) WITH CHECK ((select ctx.is_admin()));--> statement-breakpoint
CREATE POLICY "users_admin" ON "users" AS PERMISSIVE FOR ALL TO "netpilot_admin" USING ((select ctx.is_admin())) WITH CHECK ((select ctx.is_admin()));--> statement-breakpoint
CREATE POLICY "rate_counters_auth" ON "rate_counters" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "rate_counters_context" ON "rate_counters" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "sign_in_attempts_auth" ON "sign_in_attempts" AS PERMISSIVE FOR ALL TO "netpilot_auth" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "sign_in_attempts_context" ON "sign_in_attempts" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);--> statement-breakpoint
CREATE POLICY "user_audit_heads_context" ON "user_audit_heads" AS PERMISSIVE FOR ALL TO "netpilot_context" USING (true) WITH CHECK (true);