drop table oui_prefixes, user_audit_log, user_scans, user_settings, user_schedule_overrides, user_schedules, user_blocked_devices,
  user_blacklists, user_whitelists, user_device_merges, user_device_interfaces, user_devices, user_device_groups, user_recovery_codes,
  user_tokens, user_api_keys, user_login_sessions, user_routers, user_credentials, users;
