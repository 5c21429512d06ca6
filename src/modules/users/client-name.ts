/**
 * Names the client of a login session, for people who look at their sessions. User-Agents change too often
 * for our own patterns.
 */
import Bowser from 'bowser'

/** When the library does not know a name, it takes one from the header, which may contain anything. */
const BROWSERS = new Set(Object.values(Bowser.BROWSER_MAP))
const SYSTEMS = new Set(Object.values(Bowser.OS_MAP))

/** Converts a User-Agent to a name such as `Firefox on Windows`; null for an unknown browser. */
export function clientNameOf(userAgent: string | null): string | null {
  if (!userAgent) return null
  const { browser, os } = Bowser.parse(userAgent)
  if (!browser.name || !BROWSERS.has(browser.name)) return null
  return os.name && SYSTEMS.has(os.name) ? `${browser.name} on ${os.name}` : browser.name
}
