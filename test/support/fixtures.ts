/**
 * Creates a person's row in every table that PostgreSQL does not fill itself, bypassing row security, as a
 * target for attacks.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import type pg from 'pg'

/** The ids of a person with a row in every table. */
export type Somebody = {
  userId: string
  sessionId: string
  routerId: string
  keyId: string
  /** The id of a personal key. */
  personalKeyId: string
  /** The proof of both keys. */
  sha256: Buffer
  deviceId: string
  groupId: string
}

export async function createUserWithAllRows(admin: pg.ClientBase): Promise<Somebody> {
  const [userId, sessionId, routerId, deviceId, otherDeviceId, groupId] = Array.from({ length: 6 }, () =>
    randomUUID(),
  )
  const [keyId = '', personalKeyId = ''] = [randomBytes(6).toString('hex'), randomBytes(6).toString('hex')]
  const sha256 = randomBytes(32)
  const ids = { userId, sessionId, routerId, keyId, personalKeyId, sha256, deviceId, groupId } as Somebody
  const rows: [table: string, row: Record<string, unknown>][] = [
    ['users', { id: userId, email: `${userId}@example.com` }],
    ['user_emails', { user_id: userId, email: `${userId}@example.com` }],
    ['user_providers', { user_id: userId, provider: 'google', subject: `google-${userId}` }],
    ['user_identities', { user_id: userId, provider: 'google', subject: `google-${userId}` }],
    ['user_credentials', { user_id: userId, password_hash: `$2b$04$${'a'.repeat(53)}` }],
    [
      'user_login_sessions',
      { user_id: userId, id: sessionId, idle_expires_at: '2100-01-01', expires_at: '2100-01-01' },
    ],
    [
      'user_tokens',
      {
        user_id: userId,
        purpose: 'reset-password',
        token_sha256: randomBytes(32),
        password_version: 1,
        expires_at: '2100-01-01',
      },
    ],
    ['user_recovery_codes', { user_id: userId, code_sha256: randomBytes(32) }],
    ['user_routers', { user_id: userId, id: routerId, router_name: 'Home' }],
    [
      'user_api_keys',
      {
        user_id: userId,
        router_id: routerId,
        kind: 'agent',
        key_id: keyId,
        prefix: `npa_x_${keyId}`,
        secret_sha256: sha256,
        scopes: ['scans:write'],
        slot: 1,
      },
    ],
    [
      'user_api_keys',
      {
        user_id: userId,
        kind: 'personal',
        key_id: personalKeyId,
        prefix: `npp_x_${personalKeyId}`,
        secret_sha256: sha256,
        scopes: ['devices:read'],
      },
    ],
    ['user_device_groups', { user_id: userId, id: groupId, router_id: routerId, group_name: 'kids' }],
    [
      'user_devices',
      { user_id: userId, id: deviceId, router_id: routerId, device_name: 'tablet', group_id: groupId },
    ],
    ['user_devices', { user_id: userId, id: otherDeviceId, router_id: routerId, merged_into: deviceId }],
    [
      'user_device_interfaces',
      {
        user_id: userId,
        router_id: routerId,
        device_id: deviceId,
        mac: '00:00:5e:00:53:01',
        ips: '{192.0.2.1}',
      },
    ],
    [
      'user_device_merges',
      {
        user_id: userId,
        router_id: routerId,
        device_id: deviceId,
        merged_device_id: otherDeviceId,
        interfaces: '{}',
        filled: '{}',
      },
    ],
    ['user_whitelists', { user_id: userId, router_id: routerId, device_id: deviceId }],
    ['user_blacklists', { user_id: userId, router_id: routerId, mac: '00:00:5e:00:53:02' }],
    [
      'user_blocked_devices',
      { user_id: userId, router_id: routerId, device_id: deviceId, block_type: 'manual' },
    ],
    [
      'user_schedules',
      {
        user_id: userId,
        router_id: routerId,
        group_id: groupId,
        schedule_kind: 'blocked-during',
        days: ['mon'],
        start_time: '21:00',
        end_time: '07:00',
      },
    ],
    [
      'user_schedule_overrides',
      { user_id: userId, router_id: routerId, device_id: deviceId, decision: 'allow', until: '2100-01-01' },
    ],
    ['user_settings', { user_id: userId, setting_key: 'locale', setting_value: '"en"' }],
    ...['2100-01-01', '2020-01-01'].map((received_at): [string, Record<string, unknown>] => [
      'user_scans',
      {
        user_id: userId,
        router_id: routerId,
        scan_id: received_at,
        body_sha256: randomBytes(32),
        taken_at: '2026-01-01',
        received_at,
        answer: '{}',
      },
    ]),
    ['rate_counters', { bucket: 'sign-in', key: randomBytes(32), window_start: '2026-01-01', count: 1 }],
    ['sign_in_attempts', { key: randomBytes(32), failures: 1 }],
    ['user_audit_heads', { user_id: userId, sequence: 1 }],
    [
      'user_audit_log',
      {
        user_id: userId,
        sequence: 1,
        at: '2020-01-01',
        actor_kind: 'user',
        act: 'sign-in',
        outcome: 'success',
        address: '192.0.2.1',
        detail: { device: `phone-${randomUUID()}` },
        salt: randomBytes(16),
        hash: randomBytes(32),
      },
    ],
  ]
  for (const [table, row] of rows) {
    const columns = Object.keys(row)
    await admin.query(
      `insert into ${table} (${columns.join(', ')}) values (${columns.map((_, index) => `$${index + 1}`).join(', ')})`,
      Object.values(row),
    )
  }
  return ids
}
