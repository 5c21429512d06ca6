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

/** What a file imports; files of ours as paths below `src`. Types are left out unless they are asked for. */
function importsOf(file: string, { types = false } = {}): string[] {
  const statements = types
    ? /^(?:import|export)\s[^'"]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm
    : /^(?:import|export)\s(?!type\b)[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|require\('([^']+)'\)/gm
  return [...source(file).matchAll(statements)]
    .map(([, from, bare, required]) => from ?? bare ?? required ?? '')
    .map((path) => (path.startsWith('.') ? normalize(join(file, '..', path)) : path))
}

/** The ways round in a graph, each once. */
function circlesOf(nodes: Iterable<string>, next: (node: string) => Iterable<string>): string[] {
  const circles: string[] = []
  const done = new Set<string>()
  const visit = (node: string, path: string[]) => {
    if (path.includes(node)) return void circles.push([...path.slice(path.indexOf(node)), node].join(' → '))
    for (const used of next(node)) if (!done.has(used)) visit(used, [...path, node])
    done.add(node)
  }
  for (const node of nodes) visit(node, [])
  return circles
}

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
    ['routes', /routes\.ts$/, /^(app|auth\/auth)\.ts$/],
    ['the app', /^app\.ts$/, /^server\.ts$/],
    ['the framework', /^fastify$/, /^(app|http\/.*)\.ts$/],
  ])('lets only their owners load %s', (_what, path, owners) => {
    expect(
      files.filter((file) => !owners.test(file) && importsOf(file).some((used) => path.test(used))),
    ).toEqual([])
  })

  /** Each may use itself and what stands before it, for values and for types. */
  const LAYERS = ['network', 'crypto', 'database', 'config', 'http', 'rls', 'modules', 'mail', 'jobs', 'auth']
  /**
   * `app.ts`, `server.ts` and the commands stand above all.
   */
  const layerOf = (file: string) => {
    const layer = LAYERS.indexOf(file.split('/')[0] ?? '')
    return layer < 0 ? LAYERS.length : layer
  }
  it('has no import upwards, of a value or of a type', () => {
    const folders = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0]))
    expect([...folders].sort()).toEqual([...LAYERS, 'cli'].sort())
    const upwards = files.flatMap((file) =>
      importsOf(file, { types: true })
        .filter((used) => files.includes(used) && layerOf(used) > layerOf(file))
        .map((used) => `${file} → ${used}`),
    )
    expect(upwards).toEqual([])
  })

  it('has no circle of folders beside each other, of values or of types', () => {
    // A folder and those in it are one to the outside: `modules/scans/parsers/x.ts` and `http/problem.ts`
    // make an arrow from `modules` to `http`.
    const arrows = new Map<string, Set<string>>()
    for (const file of files)
      for (const used of importsOf(file, { types: true })) {
        const [from, to] = [file.split('/').slice(0, -1), used.split('/').slice(0, -1)]
        const depth = from.findIndex((folder, index) => folder !== to[index])
        if (!files.includes(used) || depth < 0 || depth >= to.length) continue
        const key = from.slice(0, depth + 1).join('/')
        arrows.set(key, (arrows.get(key) ?? new Set()).add(to.slice(0, depth + 1).join('/')))
      }
    expect(arrows.size).toBeGreaterThan(25)
    expect(circlesOf(arrows.keys(), (folder) => arrows.get(folder) ?? [])).toEqual([])
  })

  it('has no folder that takes more than one look', () => {
    const counts = Map.groupBy(files, (file) => file.split('/').slice(0, -1).join('/'))
    expect([...counts].filter(([, within]) => within.length > 14).map(([folder]) => folder)).toEqual([])
  })

  it('gives each name of the API document to one schema', () => {
    const names = files.flatMap((file) =>
      [...source(file).matchAll(/\$id: '(\w+)'/g)].map(([, name]) => name),
    )
    expect(names.length).toBeGreaterThan(40)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  it('has no circle of files', () => {
    expect(circlesOf(files, (file) => importsOf(file).filter((used) => files.includes(used)))).toEqual([])
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
      'cli/seed.ts',
      'cli/seed/temporary-server.ts',
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

  it('has a workflow that runs what .ci/run runs, with nothing that can be moved under it', () => {
    const workflow = parse(read('.github/workflows/ci.yml')) as {
      permissions: unknown
      jobs: Record<string, { steps: { uses?: string; run?: string; with?: Record<string, unknown> }[] }>
    }
    expect(workflow.permissions).toEqual({ contents: 'read' })
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)
    expect(steps.flatMap(({ run }) => run ?? [])).toEqual(['.ci/run'])
    const uses = steps.flatMap((step) => step.uses ?? [])
    expect(uses.length).toBeGreaterThan(0)
    expect(uses.filter((action) => !/@[0-9a-f]{40}$/.test(action))).toEqual([])
    const files = steps.flatMap((step) => step.with?.['node-version-file'] ?? [])
    expect(files).toEqual(['.nvmrc'])
  })

  it('has debugger configurations whose programs are there', () => {
    // JSON with comments, which is YAML too, but for how it writes them.
    const { configurations } = parse(read('.vscode/launch.json').replace(/^\s*\/\/.*$/gm, '')) as {
      configurations: { program?: string; runtimeArgs?: string[] }[]
    }
    const programs = configurations.flatMap(({ program, runtimeArgs = [] }) =>
      program ? [program.replace(/^\$\{workspaceFolder\}\//, ''), ...runtimeArgs] : [],
    )
    expect(programs.length).toBeGreaterThan(2)
    expect(programs.filter((path) => !existsSync(join(root, path)))).toEqual([])
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

  it('has a README that is short, and a code map that names files that exist', () => {
    expect(read('README.md').split('\n').length).toBeLessThanOrEqual(151)
    const named = [
      ...read('docs/architecture.md').matchAll(/`((?:src|drizzle|test|bench|docs|scripts)\/[\w./-]+)`/g),
    ].map(([, path]) => path ?? '')
    expect(named.length).toBeGreaterThan(5)
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})
