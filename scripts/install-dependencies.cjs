// Runs before `npm start`, `npm test` and the commands: installs what the lock file names, when it is not there yet.
// It runs on whatever Node the machine has (18 and later), so it is written in plain, old JavaScript. Install scripts of packages
// are not run: nothing here needs one.
'use strict'

var childProcess = require('child_process')
var crypto = require('crypto')
var fs = require('fs')
var path = require('path')

var root = path.join(__dirname, '..')
var modules = path.join(root, 'node_modules')
var stamp = path.join(modules, '.installed')
var lock = path.join(root, '.installing')

function wanted() {
  var lockFile = fs.readFileSync(path.join(root, 'package-lock.json'))
  return crypto
    .createHash('sha256')
    .update(lockFile)
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

// Two commands at once in a fresh clone: one installs, the other waits for it. A lock whose process is gone is nobody's.
function acquire() {
  var holder = 0
  for (;;) {
    try {
      fs.writeFileSync(lock, String(process.pid), { flag: 'wx' })
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
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

function install() {
  var npm = process.env.npm_execpath
  var options = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  process.stderr.write('Installing packages (once; about half a minute) ...\n')
  var result = npm
    ? childProcess.spawnSync(process.execPath, [npm].concat(options), { cwd: root, stdio: ['ignore', 2, 2] })
    : childProcess.spawnSync('npm', options, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' })
  if (result.status !== 0) {
    process.stderr.write('The packages could not be installed: see above. Is the npm registry reachable?\n')
    process.exit(1)
  }
  fs.writeFileSync(stamp, wanted())
}

if (!isInstalled()) {
  acquire()
  try {
    if (!isInstalled()) install()
  } finally {
    fs.unlinkSync(lock)
  }
}
