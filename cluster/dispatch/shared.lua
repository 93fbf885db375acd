-- What admission, settlement and withdrawal share. Before this text stands the table `key`, which names all keys.
--
-- An admission `a` has: request, ticket (its id), tenant, key, gateway, version, open (the open record: a JSON object without
-- its leading brace), traceparent, nodes (each {id, name, capacity}; the capacity is what a gateway read and checked, and 0 of a node that takes
-- nothing), received_at, score (the same, less the head start of its class), deadline (all by this server's clock), cost (work expected),
-- weight (of the tenant), counted (those of key and tenant that may have so many at once only).
-- A call of Redis from Lua costs more than what most commands do: what is read together is read at once.
local DRAIN_SECONDS = 60
local RETURNS_SECONDS = 600 -- for which it is remembered how often a tenant comes back at once
local RETURNS_ENOUGH = 0.5 -- share of returns in time from which slots are kept
local RETURNS_NEWEST = 0.25 -- weight of the last one
local AHEAD = 4 -- so many of its requests a tenant may be ahead, and slots are still kept for it

local LARGE_BYTES = 16384 -- tickets below it are bounded by how many may wait
local SHADOWS = 'shadow' -- whose large tickets of shadow traffic are: a tenant's own requests are refused for none of them

-- Bytes of large tickets, of a tenant and of all, that Redis holds: waiting or not yet settled.
local function large_bytes(tenant)
  local own, all, held = 0, 0, redis.call('ZRANGE', key.large, 0, -1, 'WITHSCORES')
  for i = 1, #held, 2 do
    local size = tonumber(held[i + 1])
    all = all + size
    if held[i]:sub(1, #tenant + 1) == tenant .. ' ' then
      own = own + size
    end
  end
  return own, all
end

-- Forget those whose request is over, or whose gateway died while they waited.
local function forget_large()
  for _, member in ipairs(redis.call('ZRANGE', key.large, 0, -1)) do
    local request = member:match(' (.*)$')
    if redis.call('HEXISTS', key.open, request) == 0 and redis.call('EXISTS', key.queue_entry(request)) == 0 then
      redis.call('ZREM', key.large, member)
    end
  end
end

-- One clock for all gateways.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Redis turns numbers into text with 14 digits, of which Unix seconds need 10.
local function text(number)
  return string.format('%.17g', number)
end

-- A command on a key that its node may write, too. Whatever the node left there: what is of another type goes.
local function on_node(command, name, ...)
  local answer = redis.pcall(command, name, ...)
  if type(answer) == 'table' and answer.err then
    if not answer.err:find('WRONGTYPE', 1, true) then
      error(answer.err)
    end
    redis.call('DEL', name)
    answer = redis.call(command, name, ...)
  end
  return answer
end

-- Rates: the generic cell rate algorithm (ITU-T I.371) with a minute's worth of burst. A key holds the theoretical arrival time.
local function rate_arrival(what, owner, at)
  return math.max(tonumber(redis.call('GET', key.rate(what, owner)) or at), at)
end

local function rate_wait(arrival, most, amount, at)
  -- What is larger than the whole burst passes when nothing else was taken.
  return math.max(0, arrival + math.min(amount, most) * 60 / most - 60 - at)
end

local function rate_take(arrival, what, owner, most, amount, at)
  arrival = arrival + amount * 60 / most
  if arrival > at then
    redis.call('SET', key.rate(what, owner), text(arrival), 'PX', math.ceil((arrival - at) * 1000) + 1000)
  else
    redis.call('DEL', key.rate(what, owner))
  end
  return arrival
end

local function rate_level(arrival, most, at)
  local ahead = math.max(0, arrival - at)
  return { text(math.max(0, most - ahead * most / 60)), text(ahead) }
end

-- How fast requests of a version end: an exponentially weighted count, true from its first second on.
local function drained(version, at)
  local name = key.drained(version)
  local held = redis.call('HMGET', name, 'rate', 'at', 'since')
  local rate, last = tonumber(held[1] or 0), tonumber(held[2] or at)
  rate = rate * math.exp((last - at) / DRAIN_SECONDS) + 1 / DRAIN_SECONDS
  redis.call('HSET', name, 'rate', text(rate), 'at', text(at), 'since', held[3] or text(at))
  if not held[3] or math.floor(at / DRAIN_SECONDS) ~= math.floor(last / DRAIN_SECONDS) then
    redis.call('EXPIRE', name, 20 * DRAIN_SECONDS)
  end
end

local function drain_rate(version, at)
  local held = redis.call('HMGET', key.drained(version), 'rate', 'at', 'since')
  if not held[1] then
    return 0
  end
  local seen = 1 - math.exp((tonumber(held[3]) - at) / DRAIN_SECONDS)
  return tonumber(held[1]) * math.exp((tonumber(held[2]) - at) / DRAIN_SECONDS) / math.max(seen, 1 / DRAIN_SECONDS)
end

-- Fairness: start-time fair queueing (Goyal, Vin and Cheng, 1996). A tenant's virtual time grows by the work it is given over its
-- weight; whoever has the least is served next.
local function work_of(tenant)
  return tonumber(redis.call('HGET', key.work, tenant) or 0)
end

-- A tenant that has nothing waiting (`fresh`) gets no credit for the time before.
local function begin_work(tenant, fresh)
  local held = redis.call('HMGET', key.work, tenant, '')
  local own, served = tonumber(held[1] or 0), tonumber(held[2] or 0)
  return fresh and math.max(own, served) or own, served
end

local function charge(tenant, work, weight, fresh)
  local start, served = begin_work(tenant, fresh)
  redis.call('HSET', key.work, tenant, text(start + work / weight), '', text(math.max(start, served)))
end

local function catch_up(tenant)
  redis.call('HSET', key.work, tenant, text(begin_work(tenant, true)))
end

-- Put the ticket into the node's inbox, and wake the node unless it is awake.
local function give(a, node, ticket, at, fresh)
  redis.call('SADD', key.node_slots(node[1]), a.ticket)
  redis.call('HSET', key.open, a.request,
    '{"node":"' .. node[1] .. '","node_name":"' .. node[2] .. '","given_at":' .. text(at) .. ',' .. a.open)
  on_node('RPUSH', key.node_inbox(node[1]), ticket)
  charge(a.tenant, a.cost, a.weight, fresh)
  if redis.call('SET', key.node_drain(node[1]), a.ticket, 'PX', 5000, 'NX') then
    -- Function replacements: ids and trace contexts are taken as they stand, whatever they hold.
    local values = { ID = a.ticket, TRACE = a.traceparent, QUEUE = key.node_queue(node[1]) }
    local message = wake_message:gsub('@(%u+)@', function(name) return values[name] end)
    on_node('LPUSH', key.node_queue(node[1]), message)
  end
end

local function enqueue(a)
  for _, node in ipairs(a.nodes) do
    redis.call('ZADD', key.queue_node_tenant(node[1], a.tenant), text(a.score), a.request)
    redis.call('SADD', key.queue_node(node[1]), a.tenant)
  end
end

local function dequeue(a)
  for _, node in ipairs(a.nodes) do
    local name = key.queue_node_tenant(node[1], a.tenant)
    redis.call('ZREM', name, a.request)
    if redis.call('EXISTS', name) == 0 then
      redis.call('SREM', key.queue_node(node[1]), a.tenant)
    end
  end
end

-- It waits no more.
local function drop(a)
  dequeue(a)
  redis.call('ZREM', key.queue_tenant(a.tenant), a.request)
  redis.call('ZREM', key.waiting, a.request)
  redis.call('DEL', key.queue_entry(a.request))
end

local function release(a)
  for _, owner in ipairs(a.counted) do
    redis.call('SREM', key.active(owner), a.request)
  end
end

local function entry(request)
  local packed = redis.call('HGET', key.queue_entry(request), 'a')
  return packed and cmsgpack.unpack(packed)
end

-- Its gateway has no lease any more. Whoever settles what dead gateways left writes its record, unless a node was given an earlier attempt
-- of it: then it is open, and settled as such.
local function abandon(a)
  drop(a)
  release(a)
  spend(a.request, { 0, 0, 0 })
  if redis.call('HEXISTS', key.open, a.request) == 0 then
    redis.call('HSET', key.abandoned, a.request, cmsgpack.pack(a))
  end
end

-- The tenant's first request that waits for the node and is still wanted.
local function head(node, tenant, at)
  local name = key.queue_node_tenant(node, tenant)
  while true do
    local first = redis.call('ZRANGE', name, 0, 0)[1]
    if not first then
      redis.call('SREM', key.queue_node(node), tenant)
      return nil
    end
    local a = entry(first)
    if not a then
      redis.call('ZREM', name, first)
    elseif redis.call('EXISTS', key.gateway_alive(a.gateway)) == 0 then
      abandon(a)
    elseif a.deadline <= at then
      drop(a)
      release(a)
    else
      return a
    end
  end
end

-- Anticipation (Iyer and Druschel, 2001): a slot that a tenant left while others wait is kept for it for a moment, when it is one that
-- comes back at once. Otherwise one that stays within its share would wait, at each step of its work, behind one that floods.
-- Returns for how many seconds.
local function keep(a, at)
  if not a.pause or redis.call('EXISTS', key.queue_tenant(a.tenant)) == 1 then
    return 0
  end
  local returns, kept = key.returns(a.tenant), key.kept(a.node)
  local share = tonumber(redis.call('HGET', returns, 'share') or 1)
  redis.call('HSET', returns, 'until', text(at + a.pause))
  redis.call('EXPIRE', returns, RETURNS_SECONDS)
  if share < RETURNS_ENOUGH then
    return 0
  end
  redis.call('ZADD', kept, text(at + a.pause), a.tenant .. ' ' .. a.ticket)
  redis.call('PEXPIREAT', kept, math.ceil((at + a.pause) * 1000) + 1000)
  return a.pause
end

-- Whether the tenant was back in time counts for whether slots are kept for it.
local function came_back(tenant, at)
  local returns = key.returns(tenant)
  local held = redis.call('HMGET', returns, 'until', 'share')
  if held[1] then
    local share = tonumber(held[2] or 1) * (1 - RETURNS_NEWEST) + (at <= tonumber(held[1]) and RETURNS_NEWEST or 0)
    redis.call('HSET', returns, 'share', text(share))
    redis.call('HDEL', returns, 'until')
  end
end

-- How many of the node's slots are kept from a tenant with a request of this cost: those of tenants that are not too far ahead of it.
local function kept_from(tenant, node, start, cost, at)
  local count = 0
  for _, kept in ipairs(redis.call('ZRANGEBYSCORE', key.kept(node), text(at), '+inf')) do
    local other = kept:match('^%x+')
    if other ~= tenant and work_of(other) <= start + AHEAD * cost then
      count = count + 1
    end
  end
  return count
end

-- It came back.
local function take_kept(tenant, node, at)
  for _, kept in ipairs(redis.call('ZRANGEBYSCORE', key.kept(node), text(at), '+inf')) do
    if kept:match('^%x+') == tenant then
      redis.call('ZREM', key.kept(node), kept)
      return
    end
  end
end

-- Give the node's free slots to those who wait for it, the tenant that had the least work first. `capacity`: how many requests it takes at
-- once. Of the node's own keys only whether it lives is asked: what it says of itself is read, and checked, by those who call.
local function fill(node, capacity, at)
  local tenants = redis.call('SMEMBERS', key.queue_node(node))
  if #tenants == 0 or redis.call('EXISTS', key.node_state(node)) == 0 then
    return
  end
  for left = capacity - redis.call('SCARD', key.node_slots(node)), 1, -1 do
    local best, least
    for _, tenant in ipairs(tenants) do
      local a = head(node, tenant, at)
      local work = a and work_of(tenant)
      if a and (not best or work < least or (work == least and a.score < best.score)) then
        best, least = a, work
      end
    end
    if not best or left <= kept_from(best.tenant, node, least, best.cost / best.weight, at) then
      return
    end
    local ticket = redis.call('HGET', key.queue_entry(best.request), 't')
    drop(best)
    for _, each in ipairs(best.nodes) do
      if each[1] == node then
        give(best, each, ticket, at)
      end
    end
    redis.call('PUBLISH', key.granted(best.gateway), best.ticket .. ' ' .. node)
  end
end
