#!/usr/bin/env node
/**
 * `netpilot COMMAND` runs the commands of package.json under one name, where the package is linked or
 * installed.
 */
const COMMANDS: Record<string, () => Promise<unknown>> = {
  start: () => import('../server.ts'),
  setup: () => import('./setup.ts'),
  migrate: () => import('./migrate.ts'),
  doctor: () => import('./doctor.ts'),
  seed: () => import('./seed.ts'),
  'create-admin': () => import('./create-admin.ts'),
}

// Each command then finds its own arguments where it would find them when run by itself.
const [name = ''] = process.argv.splice(2, 1)
const command = COMMANDS[name]
if (command) await command()
else {
  process.stderr.write(`netpilot ${Object.keys(COMMANDS).join(' | netpilot ')}\n`)
  process.exitCode = 1
}
