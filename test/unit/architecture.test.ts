/** The arrows of the tree and the rules of the repository, executable. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { namesOwner } from '../support/owner-named.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.ts'),
)
const source = (file: string) => read(join('src', file))

/** What a file loads at run time, types left out; files of ours as paths below `src`. */
const importsOf = (file: string) =>
  [
    ...source(file).matchAll(
      /^(?:import|export)\s(?!type\b)[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|require\('([^']+)'\)/gm,
    ),
  ]
    .map(([, from, bare, required]) => from ?? bare ?? required ?? '')
    .map((path) => (path.startsWith('.') ? normalize(join(file, '..', path)) : path))

describe('the tree', () => {
  it.each([
    ['the driver', /^pg$/, /^(server\.ts|database\/|rls\/|cli\/)/],
    ['drizzle', /^drizzle-orm/, /^database\/drizzle\.ts$/],
    [
      'the query builder',
      /^database\/drizzle\.ts$/,
      /^(database\/columns\.ts|rls\/)|(repository|table)\.ts$/,
    ],
    ['the configuration', /^config\/config\.ts$/, /^(server|app)\.ts$|^cli\//],
    ['the pool', /^database\/pool\.ts$/, /^server\.ts$|^cli\//],
    ['the session', /^rls\/transaction\.ts$/, /^app\.ts$|^cli\//],
    ['routes', /routes\.ts$/, /^app\.ts$/],
    ['the app', /^app\.ts$/, /^server\.ts$/],
    ['the framework', /^fastify$/, /^(app|http\/.*)\.ts$/],
  ])('lets only their owners load %s', (_what, path, owners) => {
    expect(
      files.filter((file) => !owners.test(file) && importsOf(file).some((used) => path.test(used))),
    ).toEqual([])
  })

  // http → auth → rls → modules → database: a layer may use what stands to its right, and problem.ts and the
  // shared schemas, which all may.
  const layers = [/^http\//, /^auth\//, /^rls\//, /^modules\//, /^database\//]
  const forAll = /^http\/(problem|schemas|bodies|validation|etag|limits\/(rate|concurrency)-limit)\.ts$/
  it('has arrows in one direction only', () => {
    const layerOf = (path: string) => layers.findIndex((layer) => layer.test(path))
    const upward = files.flatMap((file) =>
      importsOf(file)
        .filter(
          (used) =>
            layerOf(used) >= 0 && layerOf(file) >= 0 && layerOf(used) < layerOf(file) && !forAll.test(used),
        )
        // Tables name the roles of their policies, and every repository its owner.
        .filter((used) => !(layerOf(file) > 2 && /^rls\/(policies|own-rows)\.ts$/.test(used)))
        .map((used) => `${file} → ${used}`),
    )
    expect(upward).toEqual([])
  })

  it('gives each name of the API document to one schema', () => {
    const names = files.flatMap((file) =>
      [...source(file).matchAll(/\$id: '(\w+)'/g)].map(([, name]) => name),
    )
    expect(names.length).toBeGreaterThan(40)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  it('has no circles', () => {
    const circles: string[] = []
    const visit = (file: string, path: string[]) => {
      if (path.includes(file)) return void circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      for (const used of importsOf(file).filter((name) => files.includes(name)))
        if (!done.has(used)) visit(used, [...path, file])
      done.add(file)
    }
    const done = new Set<string>()
    for (const file of files) visit(file, [])
    expect(circles).toEqual([])
  })

  it('has no barrels, no default exports and no folders for odds and ends', () => {
    expect(
      files.filter((file) => /(^|\/)(index\.ts|utils?|helpers?|common|types|services)(\/|\.ts|$)/.test(file)),
    ).toEqual([])
    expect(files.filter((file) => /^export default/m.test(source(file)))).toEqual([])
  })

  it('reads the environment in one place', () => {
    const readers = files.filter((file) => /process\.env/.test(source(file)))
    // The command line and the process hand the environment to `readConfig`, or on to a process of their own.
    const meant = [
      'cli/create-admin.ts',
      'cli/doctor.ts',
      'cli/migrate.ts',
      'cli/setup.ts',
      'database/local.ts',
      'server.ts',
    ]
    expect(readers.sort()).toEqual(meant)
    for (const file of readers)
      expect(source(file), file).toMatch(/readConfig\(process\.env\)|\.\.\.process\.env/)
  })

  it('names the owner in every statement on an owned table: each test refuses any other, by this', () => {
    const named = [
      'select 1 from user_devices d where d.user_id = $1',
      'insert into "user_routers" ("user_id", "id") values ($1, $2)',
      'select ctx.wake($1)',
    ]
    const nameless = [
      'select 1 from user_devices where id = $1',
      'update "user_routers" set "router_name" = $1',
      'delete from user_scans',
    ]
    expect([...named, ...nameless].map(namesOwner)).toEqual([true, true, true, false, false, false])
  })

  it('never sets an identity by set_config, nor builds SQL out of values', () => {
    // Policies are written out of the names of columns, when the schema is defined.
    expect(files.filter((file) => /set_config\(\s*'|sql\.raw\(/.test(source(file)))).toEqual([
      'rls/policies.ts',
    ])
  })
})

describe('the repository', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  const lock = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { version?: string; integrity?: string; resolved?: string }>
  }

  it('pins every dependency exactly', () => {
    const pins = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((group) =>
      Object.entries(manifest[group] ?? {}),
    )
    expect(pins.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([])
  })

  it('has a lock file in which each entry has a version and a digest, and none a registry', () => {
    const entries = Object.entries(lock.packages).filter(([path]) => path !== '')
    expect(entries.length).toBeGreaterThan(100)
    expect(
      entries
        .filter(([, { version, integrity, resolved }]) => !version || !integrity || resolved)
        .map(([path]) => path),
    ).toEqual([])
  })

  it('has the packages that the product is built on', () => {
    const given = [
      'fastify',
      '@fastify/jwt',
      '@fastify/cors',
      'pg',
      'drizzle-orm',
      'drizzle-kit',
      'bcrypt',
      'google-auth-library',
      'pino',
      'vitest',
    ]
    expect(
      given.filter((name) => !manifest.dependencies?.[name] && !manifest.devDependencies?.[name]),
    ).toEqual([])
  })

  it('shows in .env.example the defaults that the code has', () => {
    const defaults = [
      ...source('config/config.ts').matchAll(
        /(?:integer|text|oneOf)\(\s*'([A-Z_]+)', (?:'([^']*)'|([\d_]+))/g,
      ),
    ]
    for (const [, name, text, number] of defaults) {
      expect(read('.env.example'), name).toMatch(
        new RegExp(`^# ?${name}=${text ?? number?.replaceAll('_', '')}$`, 'm'),
      )
    }
  })

  it('has SQL that says the same as the tables: generating would change nothing', () => {
    const output = execFileSync(
      process.execPath,
      [join(root, 'node_modules/drizzle-kit/bin.cjs'), 'generate', '--name', 'forgotten'],
      {
        cwd: root,
        encoding: 'utf8',
      },
    )
    expect(output).toContain('No schema changes')
  })

  it('tells editors and version managers what biome and npm are told', () => {
    const { indentStyle, indentWidth, lineWidth } = JSON.parse(read('biome.json')).formatter
    expect(read('.editorconfig')).toContain(
      `indent_style = ${indentStyle}\nindent_size = ${indentWidth}\nmax_line_length = ${lineWidth}\n`,
    )
    expect(manifest.engines?.node).toBe(`>=${read('.nvmrc').trim()}`)
  })

  it('has a compose file whose services say how they are healthy, and only variables that exist', () => {
    const compose = parse(read('docker-compose.yml')) as {
      services: Record<string, { environment?: Record<string, string>; image?: string }>
    }
    expect(Object.keys(compose.services)).toEqual(['database', 'migrate', 'server'])
    expect(compose.services.database?.image).toMatch(/^postgres:18/)
    const known = [...read('.env.example').matchAll(/^# ?([A-Z_]+)=/gm)].map(([, name]) => name)
    for (const service of ['migrate', 'server']) {
      expect(
        Object.keys(compose.services[service]?.environment ?? {}).filter((name) => !known.includes(name)),
      ).toEqual([])
    }
  })

  it('has a README whose code map names files that exist', () => {
    const named = [
      ...read('README.md').matchAll(/`((?:src|drizzle|test|bench|docs|scripts)\/[\w./-]+)`/g),
    ].map(([, path]) => path ?? '')
    expect(named.length).toBeGreaterThan(5)
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})
