/**
 * Delivery into files, when no SMTP server is configured: for trials, and for operators of small
 * installations.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createTransport } from 'nodemailer'
import type { Deliver } from './mailer.ts'

/**
 * Writes each mail as a separate file, `<time>-<random>.eml`, that only the user of this process can read.
 */
export function deliverToOutbox(directory: string): Deliver {
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'unix' })
  return async (message, signal) => {
    const { message: content } = await transport.sendMail(message)
    // As in the data directory of an embedded database, whose server runs as another user: other users may
    // pass through the directory, and nothing more.
    await mkdir(dirname(directory), { recursive: true, mode: 0o711 })
    await mkdir(directory, { recursive: true })
    await chmod(directory, 0o700)
    const name = `${new Date().toISOString().replaceAll(/[-:.]/g, '')}-${randomBytes(6).toString('hex')}`
    const [draft, file] = [join(directory, `${name}.draft`), join(directory, `${name}.eml`)]
    try {
      await writeFile(draft, content, { mode: 0o600, flag: 'wx', flush: true, signal })
      await rename(draft, file)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
    return { file }
  }
}
