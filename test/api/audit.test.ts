/**
 * What leaves a line in the audit log: asked of every operation that changes something, so that no route can
 * forget it or say it twice.
 */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { ask, type Ids, nobodys, ownedBy } from '../support/identified-requests.ts'
import { listOperations, type Operation, urlOf } from '../support/operations.ts'
import { appOf, codeOf, type Enrolled, enrolledIn } from '../support/second-factor.ts'
import { type Answer, newMac, type Person, rowsOf, sharedWorld, type World } from '../support/world.ts'

type Line = {
  act: string
  outcome: string
  actorKind: string
  targetId: string | null
  detail: Record<string, unknown> | null
}

/** They record nothing: they change nothing that stays, or their report is the record. */
const SILENT = ['previewPolicy', 'heartbeat', 'postScan', 'reportAppliedPolicy', 'refresh']
/**
 * Signing in, and what mails, Google and second factors do, have their own tests of what they record: by
 * other requests than these.
 */
const ELSEWHERE = [
  'linkGoogle',
  'unlinkGoogle',
  'linkOidc',
  'unlinkOidc',
  'signInWithGoogle',
  'exchangeCode',
  'answerChallenge',
  'register',
  'login',
  'reactivate',
]
const BY_MAIL = ['forgotPassword', 'resendVerification', 'resetPassword', 'verifyEmail']

const linesOf = (userId: string) =>
  rowsOf<Line>(
    `select act, outcome, actor_kind as "actorKind", target_id as "targetId", detail from user_audit_log where user_id = $1 order by sequence`,
    [userId],
  )

let world: World
let operations: Operation[]
let root: Person
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
  root = await world.administrator()
})

/** The lines that a request adds to somebody's log. */
async function linesAdded(
  who: Person,
  request: () => Promise<Answer>,
): Promise<{ answer: Answer; lines: Line[] }> {
  const before = (await linesOf(who.id)).length
  const answer = await request()
  return { answer, lines: (await linesOf(who.id)).slice(before) }
}

/** Proofs and values that a schema cannot make. */
async function fieldsOf(who: Enrolled, { body, operationId }: Operation): Promise<object> {
  const takes = (name: string) => name in (body?.properties ?? {})
  return {
    ...(takes('password') && !takes('email') && { password: who.password }),
    ...(takes('currentPassword') && { currentPassword: who.password, newPassword: `new ${randomUUID()}` }),
    ...(takes('newEmail') && { newEmail: `${randomUUID()}@example.com` }),
    ...(takes('email') && { email: `${randomUUID()}@example.com` }),
    // Where one proof is enough, the password is it.
    ...(takes('code') &&
      (operationId === 'disableSecondFactor' || !takes('password')) && { code: await who.code() }),
  }
}
const asked = async (who: Enrolled, each: Operation, ids: Ids): Promise<Answer> =>
  ask(who.call, each, ids, await fieldsOf(who, each))
const isChange = ({ method, operationId = '' }: Operation) =>
  method !== 'GET' && ![...SILENT, ...ELSEWHERE, ...BY_MAIL].includes(operationId)

describe('an operation that changes something', () => {
  it('leaves one line when it succeeds, whichever it is, and none when what it names does not exist', {
    timeout: 120_000,
  }, async () => {
    const ofPeople = operations.filter((each) => each.door === 'person' && isChange(each))
    const wrong: string[] = []
    for (const each of ofPeople) {
      const { operationId = '' } = each
      const unprepared = ['setUpSecondFactor', 'confirmSecondFactor'].includes(operationId)
      const who: Enrolled = unprepared
        ? ({ ...(await world.confirmedPerson()), code: async () => '' } as Enrolled)
        : await enrolledIn(world)
      if (operationId === 'confirmSecondFactor') {
        const { uri } = (
          await who.call('POST', '/api/auth/second-factor/setup', { body: { password: who.password } })
        ).json()
        who.code = async () => codeOf(appOf(uri))
      }
      const ids = await ownedBy(who, each)
      if (each.path.includes('{')) {
        const none = await linesAdded(who, () => asked(who, each, nobodys()))
        if (none.answer.statusCode < 400 || none.lines.length > 0)
          wrong.push(`${operationId} of nobody’s: ${none.answer.statusCode}, ${JSON.stringify(none.lines)}`)
      }
      const { answer, lines } = await linesAdded(who, () => asked(who, each, ids))
      const [line] = lines
      const isSaid =
        lines.length === 1 &&
        line?.act === operationId &&
        line.outcome === 'success' &&
        line.actorKind === 'user'
      if (answer.statusCode >= 300 || !isSaid)
        wrong.push(`${operationId}: ${answer.statusCode} ${answer.body}, ${JSON.stringify(lines)}`)
      // What was made is the target, and not what it was made of.
      const made = answer.statusCode === 201 && answer.body !== '' ? answer.json().id : undefined
      if (made && !each.path.includes('{') && line?.targetId !== made)
        wrong.push(`${operationId}: its target is ${line?.targetId}, not ${made}`)
    }
    expect(wrong).toEqual([])
    expect(ofPeople.length).toBeGreaterThan(50)
  })

  it('leaves one line in the log of the account that an administrator changes, and none when there is no such account', async () => {
    for (const each of operations.filter((other) => other.door === 'admin' && isChange(other))) {
      const ada = await world.person()
      const [session] = await rowsOf<{ id: string }>(
        'select public_id as id from user_login_sessions where user_id = $1',
        [ada.id],
      )
      const request = (id: string) =>
        root.call(each.method, urlOf(each, { id, sessionId: String(session?.id) }), {
          ...(each.operationId === 'inviteUser' && { body: { email: `${randomUUID()}@example.com` } }),
          ...(each.operationId === 'changeAccount' && { body: { isActive: false } }),
        })
      if (each.operationId === 'inviteUser') {
        const { id } = (await request('')).json()
        expect(await linesOf(id)).toMatchObject([{ act: 'inviteUser', actorKind: 'admin', targetId: id }])
        continue
      }
      const { answer, lines } = await linesAdded(ada, () => request(ada.id))
      expect(answer.statusCode, answer.body).toBeLessThan(300)
      expect(lines, each.operationId).toMatchObject([
        { act: each.operationId, outcome: 'success', actorKind: 'admin', targetId: ada.id },
      ])
      if (each.operationId === 'endSessionsOfAccount')
        expect((await linesAdded(ada, () => request(ada.id))).lines).toEqual([])
      const unknown = randomUUID()
      expect((await request(unknown)).statusCode).toBe(404)
      expect(await linesOf(unknown)).toEqual([])
    }
  })

  it('says in one line how much a call about many did, and nothing when it did nothing', async () => {
    const ada = await world.person()
    const router = await ada.router()
    const [mac, other] = [newMac(), newMac()]
    await router.scan([mac, other])
    const [deviceId, otherId] = (await router.devices()).map(({ id }) => String(id))
    const isSaid = async (
      method: 'POST' | 'PATCH' | 'DELETE',
      url: string,
      body: object | undefined,
      detail: object | undefined,
    ) => {
      const { answer, lines } = await linesAdded(ada, () => ada.call(method, url, { ...(body && { body }) }))
      expect(answer.statusCode, answer.body).toBeLessThan(300)
      expect(lines, url).toMatchObject(detail ? [{ outcome: 'success', detail }] : [])
      expect(lines, url).toHaveLength(detail ? 1 : 0)
    }
    const unknown = randomUUID()
    const bulk = {
      add: [{ deviceId }, { deviceId: unknown }, { routerId: router.id, mac: 'nonsense' }],
      remove: [unknown],
    }
    await isSaid('POST', '/api/whitelist/bulk', bulk, { added: 1, removed: 0, failed: 3 })
    await isSaid(
      'POST',
      '/api/whitelist/bulk',
      { add: [{ deviceId: unknown }], remove: [unknown] },
      undefined,
    )
    await isSaid('DELETE', `/api/whitelist?routerId=${router.id}`, undefined, { removed: 1 })
    await isSaid('DELETE', `/api/whitelist?routerId=${router.id}`, undefined, undefined)
    const changes = [
      { id: deviceId, mine: true },
      { id: otherId, mine: true },
      { id: unknown, mine: true },
    ]
    await isSaid('PATCH', '/api/devices', { changes }, { changed: 2, failed: 1 })
    await isSaid('PATCH', '/api/devices', { changes: [{ id: unknown, mine: true }] }, undefined)
    await isSaid('POST', '/api/blocks', { deviceId, force: true }, {})
    await isSaid('POST', '/api/blocks/reset', { routerId: router.id }, { ended: 1 })
    await isSaid('POST', '/api/blocks/reset', { routerId: router.id }, undefined)
    const blocked = (await ada.call('POST', '/api/blocks', { body: { deviceId, force: true } })).json()
    await isSaid('DELETE', `/api/blocks/${blocked.id}`, undefined, {})
    await isSaid('DELETE', `/api/blocks/${blocked.id}`, undefined, undefined)
    const group = (
      await ada.call('POST', '/api/groups', { body: { routerId: router.id, name: 'kids' } })
    ).json()
    await isSaid('POST', `/api/groups/${group.id}/devices`, { add: [deviceId] }, { added: 1, removed: 0 })
    await isSaid('POST', `/api/groups/${group.id}/devices`, { add: [deviceId] }, undefined)
    await isSaid('DELETE', `/api/devices?routerId=${router.id}`, undefined, { removed: 2 })
    await isSaid('DELETE', `/api/devices?routerId=${router.id}`, undefined, undefined)
    await isSaid('DELETE', '/api/auth/sessions/all?keepCurrent=true', undefined, undefined)
  })

  it('leaves no line when it is refused: the 51st schedule of a device', async () => {
    const ada = await world.person()
    const router = await ada.router()
    await router.scan([newMac()])
    const [device] = await router.devices()
    const add = () =>
      ada.call('POST', '/api/schedules', {
        body: { deviceId: device?.id, kind: 'blocked-during', days: ['mon'], start: '21:00', end: '07:00' },
      })
    for (let n = 0; n < 50; n += 1) expect((await add()).statusCode).toBe(201)
    const { answer, lines } = await linesAdded(ada, add)
    expect(answer.statusCode).toBe(409)
    expect(lines).toEqual([])
  })
})

describe('what is no change', () => {
  it('leaves no line: reports of agents, a refresh, a preview', async () => {
    const ada = await world.person()
    const router = await ada.router()
    const { lines } = await linesAdded(ada, async () => {
      await router.scan([newMac()])
      await router.call('POST', '/api/agent/heartbeat', { body: {} })
      const preview = await ada.call('POST', `/api/routers/${router.id}/policy/preview`, {
        body: { change: { router: { mode: 'whitelist' } } },
      })
      expect(preview.statusCode, preview.body).toBe(200)
      return world.send('POST', '/api/auth/refresh', { body: { refreshToken: ada.refreshToken } })
    })
    expect(lines).toEqual([])
  })

  it('leaves one failure: a refused sign-in, and a refused proof', async () => {
    const ada = await world.person()
    const wrong = { email: ada.email, password: 'wrong' }
    const signIn = await linesAdded(ada, async () => {
      const answer = await world.send('POST', '/api/auth/login', { body: wrong })
      await expect
        .poll(async () => (await linesOf(ada.id)).some(({ outcome }) => outcome === 'failure'))
        .toBe(true)
      return answer
    })
    expect(signIn.lines).toMatchObject([{ act: 'login', outcome: 'failure' }])
    const proof = await linesAdded(ada, () =>
      ada.call('POST', '/api/users/deactivate', { body: { password: 'wrong' } }),
    )
    expect(proof.lines).toMatchObject([{ act: 'deactivate', outcome: 'failure' }])
  })
})
