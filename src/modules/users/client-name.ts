/**
 * A name for what somebody is signed in with, for people who look at their login sessions. How browsers call
 * themselves changes too often for patterns of our own.
 */
import Bowser from 'bowser'

/** Where the library knows no name, it takes one from the header, which may hold anything. */
const BROWSERS = new Set(Object.values(Bowser.BROWSER_MAP))
const SYSTEMS = new Set(Object.values(Bowser.OS_MAP))

/**
 * `Firefox on Windows`, of a User-Agent; null when no browser is known by it.
 */
export function clientNameOf(userAgent: string | null): string | null {
  if (!userAgent) return null
  const { browser, os } = Bowser.parse(userAgent)
  if (!browser.name || !BROWSERS.has(browser.name)) return null
  return os.name && SYSTEMS.has(os.name) ? `${browser.name} on ${os.name}` : browser.name
}
