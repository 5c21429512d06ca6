/**
 * The content of the account that `npm run seed` creates: three routers and their devices. The MAC prefixes
 * belong to real manufacturers, the rest of each MAC is made up.
 */

/** When a device is on the network. */
type Presence = 'always' | 'outside-office-hours' | 'office-hours' | 'evenings' | 'weekends'

export type SeedDevice = {
  mac: string
  hostname?: string
  presence: Presence
  /** What the owner entered about the device. Absent for a device that the owner never edited. */
  described?: { name: string; type: string; mine?: boolean; isInfrastructure?: boolean; rate?: string }
  group?: 'Kids' | 'Guests' | 'Smart home'
  /** The days on which it was on the network, counted back from today. */
  firstDay?: number
  lastDay?: number
}

export type SeedRouter = {
  name: string
  /** The first three octets of each address. */
  network: string
  everyHours: number
  devices: SeedDevice[]
}

/** How many days the scans reach back. */
export const DAYS = 14

/** For how many days the first router has held new devices. */
export const HELD_SINCE_DAYS = 3

const HOME: SeedDevice[] = [
  {
    mac: '78:45:58:10:20:01',
    hostname: 'ap-hallway',
    presence: 'always',
    described: { name: 'Access point', type: 'access-point', isInfrastructure: true },
  },
  {
    mac: '00:11:32:10:20:02',
    hostname: 'diskstation',
    presence: 'always',
    described: { name: 'Family storage', type: 'nas', isInfrastructure: true },
  },
  {
    mac: '28:cd:c1:10:20:03',
    hostname: 'homeassistant',
    presence: 'always',
    described: { name: 'Home Assistant', type: 'server' },
  },
  {
    mac: '10:51:07:10:20:04',
    hostname: 'grace-thinkpad',
    presence: 'office-hours',
    described: { name: 'Grace’s laptop', type: 'laptop', mine: true },
  },
  {
    mac: '84:cf:bf:10:20:05',
    hostname: 'fairphone-5',
    presence: 'outside-office-hours',
    described: { name: 'Grace’s phone', type: 'phone', mine: true },
  },
  {
    mac: '44:63:70:10:20:06',
    hostname: 'ideapad-sam',
    presence: 'evenings',
    described: { name: 'Sam’s laptop', type: 'laptop' },
  },
  {
    mac: '10:30:47:10:20:07',
    hostname: 'galaxy-s24-sam',
    presence: 'outside-office-hours',
    described: { name: 'Sam’s phone', type: 'phone' },
  },
  {
    mac: '10:29:59:10:20:08',
    hostname: 'mia-ipad',
    presence: 'evenings',
    described: { name: 'Mia’s tablet', type: 'tablet' },
    group: 'Kids',
  },
  {
    mac: '18:59:36:10:20:09',
    hostname: 'redmi-jo',
    presence: 'outside-office-hours',
    described: { name: 'Jo’s phone', type: 'phone' },
    group: 'Kids',
  },
  {
    mac: '38:70:35:10:20:0a',
    hostname: 'switch',
    presence: 'evenings',
    described: { name: 'Switch', type: 'console' },
    group: 'Kids',
  },
  {
    mac: '90:47:48:10:20:0b',
    hostname: 'ps5',
    presence: 'weekends',
    described: { name: 'PlayStation', type: 'console' },
    group: 'Kids',
  },
  {
    mac: '20:17:42:10:20:0c',
    hostname: 'lgwebostv',
    presence: 'evenings',
    described: { name: 'Living-room TV', type: 'tv' },
  },
  {
    mac: '14:91:38:10:20:0d',
    hostname: 'firetv-attic',
    presence: 'weekends',
    described: { name: 'Attic TV stick', type: 'tv', rate: '8mbit' },
  },
  { mac: '34:7e:5c:10:20:0e', hostname: 'sonos-kitchen', presence: 'always' },
  { mac: '34:7e:5c:10:20:0f', hostname: 'sonos-bath', presence: 'always' },
  {
    mac: '00:1b:a9:10:20:10',
    hostname: 'brw001ba9102010',
    presence: 'always',
    described: { name: 'Printer', type: 'printer' },
  },
  {
    mac: 'ec:b5:fa:10:20:11',
    hostname: 'philips-hue',
    presence: 'always',
    described: { name: 'Hue bridge', type: 'bridge' },
    group: 'Smart home',
  },
  {
    mac: '68:ec:8a:10:20:12',
    hostname: 'dirigera',
    presence: 'always',
    described: { name: 'Blinds', type: 'bridge' },
    group: 'Smart home',
  },
  {
    mac: '84:00:ec:10:20:13',
    hostname: 'shellyplug-washer',
    presence: 'always',
    described: { name: 'Washer plug', type: 'plug' },
    group: 'Smart home',
  },
  { mac: 'a4:cf:12:10:20:14', hostname: 'esp-greenhouse', presence: 'always', group: 'Smart home' },
  {
    mac: '64:16:66:10:20:15',
    hostname: 'nest-thermostat',
    presence: 'always',
    described: { name: 'Thermostat', type: 'thermostat' },
    group: 'Smart home',
  },
  {
    mac: '24:2b:d6:10:20:16',
    hostname: 'ring-door',
    presence: 'always',
    described: { name: 'Doorbell', type: 'camera' },
    group: 'Smart home',
  },
  {
    mac: 'ac:f4:73:10:20:17',
    hostname: 'roomba',
    presence: 'office-hours',
    described: { name: 'Vacuum cleaner', type: 'vacuum' },
    group: 'Smart home',
  },
  { mac: '40:b0:2f:10:20:18', hostname: 'miele-dishwasher', presence: 'evenings' },
  { mac: '00:24:e4:10:20:19', hostname: 'withings-scale', presence: 'outside-office-hours' },
  {
    mac: '10:30:25:10:20:1a',
    hostname: 'granny-iphone',
    presence: 'weekends',
    described: { name: 'Granny’s phone', type: 'phone' },
    group: 'Guests',
  },
  // A phone that changed its random MAC: the server suggests to merge the two devices.
  { mac: 'da:31:7c:10:20:1b', hostname: 'lena-pixel', presence: 'always', group: 'Guests', lastDay: 8 },
  { mac: '6e:52:0d:10:20:1c', hostname: 'lena-pixel', presence: 'always', group: 'Guests', firstDay: 7 },
  // Unknown devices, which wait in the inbox.
  { mac: '70:89:76:10:20:1d', hostname: 'wlan0', presence: 'always', firstDay: 2 },
  { mac: '9a:0b:44:10:20:1e', presence: 'always', firstDay: 1 },
  { mac: '60:6b:bd:10:20:1f', hostname: 'samsung-fridge', presence: 'always', firstDay: 1 },
]

const PARENTS: SeedDevice[] = [
  {
    mac: '24:65:11:10:21:01',
    hostname: 'fritz-repeater',
    presence: 'always',
    described: { name: 'Repeater', type: 'access-point', isInfrastructure: true },
  },
  {
    mac: '18:60:24:10:21:02',
    hostname: 'hp-desktop',
    presence: 'office-hours',
    described: { name: 'Dad’s computer', type: 'desktop' },
  },
  {
    mac: '44:27:45:10:21:03',
    hostname: 'lg-tv',
    presence: 'evenings',
    described: { name: 'Television', type: 'tv' },
  },
  {
    mac: 'f4:fe:fb:10:21:04',
    hostname: 'galaxy-tab',
    presence: 'always',
    described: { name: 'Mum’s tablet', type: 'tablet' },
  },
  { mac: '10:4e:89:10:21:05', hostname: 'garmin-index', presence: 'weekends' },
]

const CABIN: SeedDevice[] = [
  {
    mac: '70:ee:50:10:22:01',
    hostname: 'netatmo-weather',
    presence: 'always',
    described: { name: 'Weather station', type: 'sensor' },
  },
  {
    mac: '00:15:bb:10:22:02',
    hostname: 'sma-inverter',
    presence: 'always',
    described: { name: 'Solar inverter', type: 'inverter' },
  },
  { mac: '52:7f:03:10:22:03', hostname: 'android-guest', presence: 'weekends' },
]

export const ROUTERS = {
  home: { name: 'Home', network: '192.168.10', everyHours: 2, devices: HOME },
  parents: { name: 'Parents', network: '192.168.20', everyHours: 6, devices: PARENTS },
  cabin: { name: 'Cabin', network: '10.44.0', everyHours: 12, devices: CABIN },
} satisfies Record<string, SeedRouter>

/** Whether a scan taken at this time, `daysAgo` days ago, sees the device. */
export function isPresent({ presence, firstDay = DAYS, lastDay = 0 }: SeedDevice, at: Date, daysAgo: number) {
  if (daysAgo > firstDay || daysAgo < lastDay) return false
  const isWeekend = at.getDay() % 6 === 0
  const isOffice = !isWeekend && at.getHours() >= 8 && at.getHours() < 17
  const holds: Record<Presence, boolean> = {
    always: true,
    'outside-office-hours': !isOffice,
    'office-hours': isOffice,
    evenings: at.getHours() >= 16 && at.getHours() < 23,
    weekends: isWeekend,
  }
  // On the first day every device is present, so that each is known from then on.
  return holds[presence] || daysAgo === firstDay
}
