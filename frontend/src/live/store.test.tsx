/** The live store against a socket that says what the server says. */
import { act, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LiveStore } from './store'
import type { NodesView } from './topics'
import { LiveContext, useLive, useSlice, useTopic } from './useLive'

class FakeSocket extends EventTarget {
  static all: FakeSocket[] = []
  sent: Record<string, unknown>[] = []
  closed = false

  constructor(readonly address: string) {
    super()
    FakeSocket.all.push(this)
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>)
  }

  close(): void {
    this.closed = true
  }

  say(...messages: object[]): void {
    for (const message of messages)
      this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }))
  }

  end(code: number): void {
    this.dispatchEvent(new CloseEvent('close', { code }))
  }
}

const WELCOME = { type: 'welcome', tenant: 't', topics: ['fleet', 'nodes', 'requests'] }
let store: LiveStore

function last(): FakeSocket {
  const socket = FakeSocket.all.at(-1)
  if (socket === undefined) throw new Error('no socket')
  return socket
}

function frame(): void {
  act(() => {
    vi.advanceTimersByTime(20)
  })
}

function asked(topic: string): Record<string, unknown>[] {
  return last().sent.filter((each) => each.type === 'subscribe' && each.topic === topic)
}

function row(id: string, running: number) {
  return { id, name: id, state: 'ready', running }
}

beforeEach(() => {
  vi.useFakeTimers()
  FakeSocket.all = []
  vi.stubGlobal('WebSocket', FakeSocket)
  store = new LiveStore('http://localhost')
})

afterEach(() => {
  store.stop()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

function told(id: unknown, seq: number, data: object, since = seq - 1) {
  return {
    type: 'event',
    id,
    topic: 'nodes',
    since,
    seq,
    at: 1,
    data: { changed: {}, gone: [], total: 1, ...data },
  }
}

function snapshot(id: unknown, seq: number, nodes: object[]) {
  return {
    type: 'snapshot',
    id,
    topic: 'nodes',
    seq,
    at: 1,
    reason: 'subscribed',
    data: { nodes, total: nodes.length },
  }
}

function enter(): unknown {
  store.start()
  store.want('nodes')
  last().say(WELCOME)
  return asked('nodes')[0]?.id
}

function running(id: string): number | null | undefined {
  return (store.view('nodes') as NodesView | null)?.rows.get(id)?.running
}

test('events bring the snapshot forward, and those it holds already change nothing', () => {
  const id = enter()
  last().say(
    snapshot(id, 5, [row('a', 1)]),
    told(id, 5, { changed: { a: { running: 9 } } }),
    told(id, 6, { changed: { a: { running: 2 } } }),
  )
  frame()
  expect(running('a')).toBe(2)
  last().say(told(id, 9, { changed: { b: row('b', 4) }, gone: ['a'] }, 6))
  frame()
  expect([running('a'), running('b')]).toEqual([undefined, 4])
})

test('a hole in the numbers has the topic told from the beginning', () => {
  const id = enter()
  last().say(snapshot(id, 5, [row('a', 1)]), told(id, 8, { changed: { a: { running: 2 } } }))
  frame()
  expect(asked('nodes')).toHaveLength(2)
  expect(asked('nodes')[1]).not.toHaveProperty('after')
})

test('after a break the page asks for what it missed, and keeps what it knew', () => {
  const id = enter()
  last().say(snapshot(id, 5, [row('a', 1)]))
  frame()
  last().end(1006)
  expect(running('a')).toBe(1)
  expect(store.readStatus().phase).toBe('reconnecting')
  vi.advanceTimersByTime(20_000)
  expect(FakeSocket.all.length).toBeGreaterThan(1)
  last().say(WELCOME)
  expect(asked('nodes')[0]).toMatchObject({ after: 5 })
  expect(store.readStatus().phase).toBe('live')
})

test('components are told once in a frame, and render for their own slice only', () => {
  let renders = 0
  const count = (view: NodesView | null) => view?.rows.size ?? 0
  function Count() {
    renders += 1
    return <p>{useSlice('nodes', count)} nodes</p>
  }
  render(
    <LiveContext value={store}>
      <Count />
    </LiveContext>,
  )
  act(() => {
    store.start()
    last().say(WELCOME)
  })
  const id = asked('nodes')[0]?.id
  act(() => {
    last().say(snapshot(id, 5, [row('a', 1)]))
  })
  frame()
  expect(screen.getByText('1 nodes')).toBeTruthy()
  const before = renders
  act(() => {
    for (let seq = 6; seq < 30; seq += 1) last().say(told(id, seq, { changed: { a: { running: seq } } }))
  })
  frame()
  expect(running('a')).toBe(29)
  expect(renders).toBe(before)
})

test('who is logged out keeps nothing, and does not try again', () => {
  const id = enter()
  last().say(snapshot(id, 5, [row('a', 1)]))
  frame()
  last().end(4401)
  expect(store.readStatus().phase).toBe('unauthenticated')
  expect(store.view('nodes')).toBeNull()
  vi.advanceTimersByTime(60_000)
  expect(FakeSocket.all).toHaveLength(1)
})

test('where WebSockets are blocked it polls and says so, until one opens', async () => {
  const fetched = vi.fn((address: string) =>
    Promise.resolve(
      Response.json({ nodes: { seq: 7, at: 1, data: { nodes: [row('a', 3)], total: 1 } }, address }),
    ),
  )
  vi.stubGlobal('fetch', fetched)
  function Shown() {
    useTopic('nodes')
    return <p>{useLive().phase}</p>
  }
  render(
    <LiveContext value={store}>
      <Shown />
    </LiveContext>,
  )
  act(() => {
    store.start()
  })
  for (let tries = 0; tries < 3; tries += 1) {
    await act(async () => {
      last().end(1006)
      await vi.advanceTimersByTimeAsync(3_000)
    })
  }
  expect(screen.getByText('polling')).toBeTruthy()
  expect(running('a')).toBe(3)
  const before = fetched.mock.calls.length
  await act(async () => {
    await vi.advanceTimersByTimeAsync(6_500)
  })
  expect(fetched.mock.calls.length).toBeGreaterThan(before)
  const tried = FakeSocket.all.length
  for (let seconds = 0; seconds < 60 && FakeSocket.all.length === tried; seconds += 1)
    await act(async () => {
      await vi.advanceTimersByTimeAsync(1_000)
    })
  expect(FakeSocket.all).toHaveLength(tried + 1)
  act(() => {
    last().say(WELCOME)
  })
  expect(screen.getByText('live')).toBeTruthy()
  expect(asked('nodes')[0]).not.toHaveProperty('after')
})

test('a topic that nobody wants any more is given up, but not at the turn of a page', () => {
  store.start()
  const release = store.want('nodes')
  last().say(WELCOME)
  release()
  vi.advanceTimersByTime(500)
  const again = store.want('nodes')
  vi.advanceTimersByTime(4_000)
  expect(last().sent.filter((each) => each.type === 'unsubscribe')).toEqual([])
  again()
  vi.advanceTimersByTime(4_000)
  expect(last().sent.filter((each) => each.type === 'unsubscribe')).toHaveLength(1)
})
