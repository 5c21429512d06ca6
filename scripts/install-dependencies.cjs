// Runs before every npm command (scripts/node.sh). It installs missing packages of the lock file, and prints
// the path of the Node to use. It runs on any Node from 18 on, so it uses old JavaScript syntax. It runs no
// install scripts of packages, because no package needs one.
'use strict'

var childProcess = require('child_process')
var crypto = require('crypto')
var fs = require('fs')
var path = require('path')

var root = path.join(__dirname, '..')
var modules = path.join(root, 'node_modules')
var stamp = path.join(modules, '.installed')
var lock = path.join(root, '.installing')
var REQUIRED_MAJOR = Number(
  /\d+/.exec(JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).engines.node)[0],
)

function readLockFile() {
  return fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8')
}

function lockedPackages() {
  return JSON.parse(readLockFile()).packages
}

function wanted() {
  return crypto
    .createHash('sha256')
    .update(readLockFile())
    .update(process.platform + process.arch)
    .digest('hex')
}

function isInstalled() {
  try {
    return fs.readFileSync(stamp, 'utf8') === wanted()
  } catch (_) {
    return false
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

// When two commands run at once in a fresh clone, one installs and the other waits. A lock whose process has
// ended is invalid.
function acquire() {
  var holder = 0
  for (;;) {
    try {
      fs.writeFileSync(lock, String(process.pid), { flag: 'wx' })
      return
    } catch (error) {
      if (error.code !== 'EEXIST')
        fail(
          `The packages cannot be installed: ${lock} cannot be written (${error.code}). Give the folder to this user (chown), or make room.`,
        )
      try {
        holder = Number(fs.readFileSync(lock, 'utf8'))
      } catch (_) {
        continue
      }
      if (holder && !isRunning(holder)) fs.unlinkSync(lock)
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
  }
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

// How long to wait for the registry before a message says that it does not answer, and how often a message
// says that npm is still running.
var REGISTRY_PATIENCE_MS = 6000
var PROGRESS_MS = 10000

// Standard output contains only the path; npm's output goes to standard error.
function npm(node, args, stderr) {
  var program = process.env.npm_execpath || ''
  var isNpm = /npm-cli\.js$/.test(program)
  return childProcess.spawn(isNpm ? node : 'npm', (isNpm ? [program] : []).concat(args, '--loglevel=error'), {
    cwd: root,
    env: Object.assign({}, process.env, { PATH: path.dirname(node) + path.delimiter + process.env.PATH }),
    stdio: ['ignore', 2, stderr],
  })
}

function ended(child) {
  return new Promise(function (resolve) {
    child.on('error', resolve)
    child.on('close', resolve)
  })
}

// npm prints nothing while it retries, for minutes. A parallel ping shows at once whether the registry is
// reachable.
function watchRegistry(node) {
  var timeouts = [
    `--fetch-timeout=${REGISTRY_PATIENCE_MS}`,
    '--fetch-retries=1',
    '--fetch-retry-mintimeout=1000',
  ]
  var ping = npm(node, ['ping'].concat(timeouts), 'pipe')
  var words = ''
  var isWatching = true
  ping.stderr.on('data', function (chunk) {
    words += chunk
  })
  void ended(ping).then(function (status) {
    // A registry that does not support ping is reachable, too.
    if (isWatching && status !== 0 && !/\bE4\d\d\b/.test(words))
      process.stderr.write(
        'The npm registry does not answer ("npm config get registry" says which it is). Still trying ...\n',
      )
  })
  return function () {
    isWatching = false
    ping.kill()
  }
}

// The options override npm settings of the user that would leave packages out.
async function runNpm(node) {
  var began = Date.now()
  var progress = setInterval(function () {
    process.stderr.write(`... still installing, for ${Math.round((Date.now() - began) / 1000)} s\n`)
  }, PROGRESS_MS)
  var unwatch = watchRegistry(node)
  var options = ['--ignore-scripts', '--no-audit', '--no-fund', '--include=dev', '--include=optional']
  // Retries after seconds, not minutes. A minute without data within a large package means a slow connection.
  var patience = ['--fetch-timeout=60000', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000']
  var status = await ended(npm(node, ['ci'].concat(options, patience), 2))
  clearInterval(progress)
  unwatch()
  // npm 10 may end with 0 when it fails ("Exit handler never called!").
  if (status !== 0 || lacksRequired()) {
    fs.unlinkSync(lock)
    fail('The packages could not be installed: see above. Is the npm registry reachable?')
  }
  var bundled = bundledNode()
  if (bundled && childProcess.spawnSync(bundled, ['--version']).status !== 0) fs.unlinkSync(bundled)
}

function bundledNode() {
  return ['node', 'node-bin']
    .map(function (name) {
      return path.join(modules, `${name}-${process.platform}-${process.arch}`, 'bin', 'node')
    })
    .find(fs.existsSync)
}

// The machine's own Node is used on a platform that has no package, or where the package's program does not
// run (musl).
function findNode() {
  return (
    bundledNode() || (parseInt(process.versions.node, 10) >= REQUIRED_MAJOR ? process.execPath : undefined)
  )
}

function fits(allowed, mine) {
  return allowed === undefined || [].concat(allowed).indexOf(mine) >= 0
}

function lacksRequired() {
  var packages = lockedPackages()
  return Object.keys(packages).some(function (name) {
    return name !== '' && !packages[name].optional && !fs.existsSync(path.join(root, name, 'package.json'))
  })
}

// npm leaves out optional packages that do not support the Node it runs on, even if the newly installed Node
// needs them.
function isIncomplete() {
  var packages = lockedPackages()
  var libc =
    process.platform === 'linux' && (process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl')
  return Object.keys(packages).some(function (name) {
    var entry = packages[name]
    var isForThis =
      fits(entry.os, process.platform) && fits(entry.cpu, process.arch) && (!libc || fits(entry.libc, libc))
    return entry.optional && entry.os && isForThis && !fs.existsSync(path.join(root, name))
  })
}

async function install() {
  process.stderr.write('Installing packages (once; about half a minute) ...\n')
  await runNpm(process.execPath)
  var bundled = bundledNode()
  if (bundled && isIncomplete()) await runNpm(bundled)
  fs.writeFileSync(stamp, wanted())
}

async function main() {
  if (!isInstalled()) {
    acquire()
    try {
      if (!isInstalled()) await install()
    } finally {
      fs.rmSync(lock, { force: true })
    }
  }
  var node = findNode()
  if (!node)
    fail(
      `NetPilot needs Node ${REQUIRED_MAJOR} or later, and this machine has Node ${process.versions.node}. The npm package that brings ` +
        `Node ${REQUIRED_MAJOR} does not run on, or does not exist for, ${process.platform} ${process.arch}: install Node ${REQUIRED_MAJOR} and start again.`,
    )
  process.stdout.write(`${node}\n`)
}

main().catch(function (error) {
  fail(`The packages could not be installed: ${error.message}`)
})
