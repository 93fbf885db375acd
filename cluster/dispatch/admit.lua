-- Admit one attempt of a request: within the limits of its key and tenant, to the first node that has a free slot, or to a place
-- in the queue. Nobody overtakes those who wait for the same node.
--
-- ARGV 1 the admission (see shared.lua), its times as seconds from now: age (since it was received), score, left (until its deadline); with
--      besides: limits (each {what, owner, most, amount}; none for a later attempt), budgets (see budgets.lua; taken once for a request),
--      idle (only to a slot that nobody waits for), shadow (nobody is shown its answer), most_waiting, most_waiting_of_tenant, most_bytes, most_bytes_of_tenant
--      2 the ticket
-- Returns {'given', node, levels}, {'waits', how many wait, levels}, {'limited', number of the limit, seconds to wait, levels}, {'spent', number of the budget, seconds until its next window}, {'full', how many
-- of the tenant wait, how many requests of the version end in a second}, {'busy', ..the same..}, {'heavy', bytes the tenant has in Redis, ..the same rate..} or {'dead'} when none of the nodes is alive. Seconds
-- and rates are text. Levels: of each limit of a rate what is left, and seconds until all of it is. A repeated call with the same ticket changes nothing,
-- and has no levels.
local a, ticket, at = cmsgpack.unpack(ARGV[1]), ARGV[2], now()
a.budgets = a.budgets or {} -- gateways of the release before name none
a.received_at, a.score, a.deadline = at - a.age, at + a.score, at + a.left

local waiting = redis.call('ZCARD', key.waiting)
if redis.call('HEXISTS', key.open, a.request) == 1 then
  for _, node in ipairs(a.nodes) do
    if redis.call('SISMEMBER', key.node_slots(node[1]), a.ticket) == 1 then
      return { 'given', node[1] }
    end
  end
end
if waiting > 0 and redis.call('HGET', key.queue_entry(a.request), 'id') == a.ticket then
  return { 'waits', waiting }
end

for number, limit in ipairs(a.limits) do
  local what, owner, most, amount = unpack(limit)
  local wait = 0
  if what ~= 'concurrent' then
    limit.arrival = rate_arrival(what, owner, at)
    wait = rate_wait(limit.arrival, most, amount, at)
  elseif redis.call('SCARD', key.active(owner)) >= most then
    local rate = drain_rate(a.version, at)
    wait = rate > 0 and 1 / rate or DRAIN_SECONDS
  end
  if wait > 0 then
    local levels = {}
    for _, each in ipairs(a.limits) do
      if each[1] ~= 'concurrent' then
        table.insert(levels, rate_level(rate_arrival(each[1], each[2], at), each[3], at))
      end
    end
    return { 'limited', number, text(wait), levels }
  end
end

local without, seconds = spent_budget(a, at)
if without then
  return { 'spent', without, text(seconds) }
end

if waiting > 0 then
  came_back(a.tenant, at)
end
local chosen, alive
for _, node in ipairs(a.nodes) do
  if redis.call('EXISTS', key.node_state(node[1])) == 1 then
    alive = true
    local free = redis.call('SCARD', key.node_slots(node[1])) < node[3]
    if free and waiting > 0 then
      fill(node[1], node[3], at)
      local start = begin_work(a.tenant, redis.call('EXISTS', key.queue_tenant(a.tenant)) == 0)
      local kept = kept_from(a.tenant, node[1], start, a.cost / a.weight, at)
      free = redis.call('SCARD', key.node_slots(node[1])) + kept < node[3]
    end
    if free then
      chosen = node
      break
    end
  end
end
if not alive then
  return { 'dead' }
end
waiting = waiting > 0 and redis.call('ZCARD', key.waiting) or 0
if a.idle and (waiting > 0 or not chosen) then
  return { 'busy', waiting, text(drain_rate(a.version, at)) }
end
if not chosen then
  local own = redis.call('ZCARD', key.queue_tenant(a.tenant))
  if own >= a.most_waiting_of_tenant or waiting >= a.most_waiting then
    return { 'full', own, text(drain_rate(a.version, at)) }
  end
end

if #ticket >= LARGE_BYTES then
  local whose = a.shadow and SHADOWS or a.tenant
  local member = whose .. ' ' .. a.request
  redis.call('ZREM', key.large, member)
  local own, all = large_bytes(whose)
  if own + #ticket > a.most_bytes_of_tenant or all + #ticket > a.most_bytes then
    forget_large()
    own, all = large_bytes(whose)
  end
  if (own > 0 and own + #ticket > a.most_bytes_of_tenant) or (all > 0 and all + #ticket > a.most_bytes) then
    return { 'heavy', own, text(drain_rate(a.version, at)) }
  end
  redis.call('ZADD', key.large, #ticket, member)
end

local levels = {}
for _, limit in ipairs(a.limits) do
  local what, owner, most, amount = unpack(limit)
  if what ~= 'concurrent' then
    table.insert(levels, rate_level(rate_take(limit.arrival, what, owner, most, amount, at), most, at))
  end
end
for _, owner in ipairs(a.counted) do
  redis.call('SADD', key.active(owner), a.request)
end
local budget_levels = reserve(a)
local fresh = waiting == 0 or redis.call('EXISTS', key.queue_tenant(a.tenant)) == 0
if chosen then
  if waiting > 0 then
    take_kept(a.tenant, chosen[1], at)
  end
  give(a, chosen, ticket, at, fresh)
  return { 'given', chosen[1], levels, budget_levels }
end
if fresh then
  catch_up(a.tenant)
end
a.limits, a.budgets = nil, nil
redis.call('HSET', key.queue_entry(a.request), 'a', cmsgpack.pack(a), 't', ticket, 'id', a.ticket)
redis.call('ZADD', key.queue_tenant(a.tenant), text(a.score), a.request)
redis.call('ZADD', key.waiting, text(a.received_at), a.request)
enqueue(a)
return { 'waits', waiting + 1, levels, budget_levels }
