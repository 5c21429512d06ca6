import { defineConfig } from 'drizzle-kit'

/**
 * drizzle-kit only writes SQL here (`npm run generate`); `npm run migrate` applies it. There is no `push`.
 */
export default defineConfig({
  dialect: 'postgresql',
  schema: ['./src/auth/*/table.ts', './src/modules/*/table.ts'],
  out: './drizzle',
  entities: { roles: false },
})
