/**
 * Measures clients that send requests and do not read: `node bench/unread.ts`, three minutes. A real server
 * runs as a separate process on a throw-away embedded PostgreSQL. Five hundred sockets each send twenty
 * requests (or as many as the argument says) in one write and read nothing. Meanwhile a good client sends
 * requests at an even rate, each timed from when it was due. The script prints the highest growth of the
 * server's memory, when the last of the five hundred was gone, and the good client's times.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { makeTestDatabase } from '../test/support/database.ts'
import { openServers } from './servers.ts'

const CLIENTS = 500
const WARM_UP = 5_000
const SECONDS = 20
const EVERY_MS = 20
const PATHS = ['/docs/static/swagger-ui-bundle.js', '/openapi.json', '/health/live']

const print = (line: string) => process.stdout.write(`${line}\n`)
const columns = (cells: string[]) =>
  print(cells.map((cell, index) => (index === 0 ? cell.padEnd(36) : cell.padStart(15))).join(''))

const [role, ...rest] = process.argv.slice(2)
if (role === 'crowd') beCrowd(Number(rest[0]), String(rest[1]), Number(rest[2]))
else await measure(Number(role ?? 20))

/**
 * The five hundred sockets, in a separate process: in this process, their cost would delay the good client.
 */
function beCrowd(port: number, path: string, ahead: number): void {
  const text = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(ahead)
  for (let index = 0; index < CLIENTS; index += 1) {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    // The socket does not read: it has no listener for data, and is paused.
    socket.on('error', () => {}).pause()
  }
}

async function measure(ahead: number): Promise<void> {
  const { database, close } = await makeTestDatabase()
  const servers = openServers()
  print(`${CLIENTS} clients, ${ahead} requests each, nothing read; a good client every ${EVERY_MS} ms\n`)
  columns(['asked for', 'MB grown', 'gone after s', 'good p50 ms', 'good p99 ms', 'good worst ms', 'failed'])
  for (const path of PATHS) {
    const { child, url } = await servers.start(database)
    const { port } = new URL(url)
    const good = goodClient(Number(port))
    // The memory that V8 keeps after ordinary requests is not part of the cost of the five hundred.
    for (const warm of PATHS) await (await fetch(url + warm)).arrayBuffer()
    for (let index = 0; index < WARM_UP; index += 1) await good()
    const before = await residentMb(child.pid)
    const filesBefore = await openFiles(child.pid)
    const began = performance.now()
    const crowd = spawn(
      process.execPath,
      [fileURLToPath(import.meta.url), 'crowd', port, path, String(ahead)],
      {
        stdio: ['pipe', 'ignore', 'inherit'],
      },
    )
    // The process ends by itself once the server has closed all its connections.
    const crowdLeft = once(crowd, 'exit')
    let goneAfter = Number.NaN
    let highest = before
    const times: number[] = []
    let failed = 0
    const asked: Promise<void>[] = []
    for (let due = 0; due < SECONDS * 1_000; due += EVERY_MS) {
      await wait(Math.max(0, due - (performance.now() - began)))
      asked.push(
        good().then(
          () => void times.push(performance.now() - began - due),
          () => {
            failed += 1
          },
        ),
      )
      if (due % 100 === 0) highest = Math.max(highest, await residentMb(child.pid))
      if (
        due % 500 === 0 &&
        due > 2_000 &&
        Number.isNaN(goneAfter) &&
        (await openFiles(child.pid)) < filesBefore + CLIENTS / 5
      )
        goneAfter = performance.now() - began
    }
    await Promise.all(asked)
    crowd.kill()
    await crowdLeft
    times.sort((a, b) => a - b)
    const at = (share: number) =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))]?.toFixed(1) ?? '-'
    const last = Number.isNaN(goneAfter) ? 'they stay' : (goneAfter / 1_000).toFixed(1)
    columns([path, (highest - before).toFixed(0), last, at(0.5), at(0.99), at(1), String(failed)])
    child.kill()
    await once(child, 'exit')
  }
  servers.killAll()
  await close()
}

function goodClient(port: number): () => Promise<void> {
  const agent = new Agent({ keepAlive: true })
  return () =>
    new Promise((resolve, reject) => {
      const sent = request({ agent, host: '127.0.0.1', port, path: '/health/ready' }, (answer) => {
        answer
          .resume()
          .on('end', () =>
            answer.statusCode === 200 ? resolve() : reject(new Error(String(answer.statusCode))),
          )
      })
      sent.on('error', reject).end()
    })
}

/** The number includes sockets: a client that does not read does not notice the end of its connection. */
async function openFiles(pid: number | undefined): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

/** The memory of a process, as Linux counts it. */
async function residentMb(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024
}
