-- The arithmetic of usage/{ledger,counters,windows,portions,resets}.py, for all processes at once.
--
-- KEYS[1] names the present epoch; all other keys share its hash tag, so that they live in one slot.  ARGV[1] is one
-- message of one process, a JSON object: epoch, process, seq (its number, from 1 on), step (tokens of output reserved
-- at a time), lease (seconds that the process counts as alive), beat (whether to look for those that are not), now
-- (only tests set the clock) and ops, a list of operations.  The answer is a JSON object as well.

local message = cjson.decode(ARGV[1])
local present = redis.call('GET', KEYS[1])
if present ~= message.epoch then
  return cjson.encode({epoch = present or ''})
end

local MINUTE, DAY_SECONDS = 60, 86400
local BURST_SECONDS, REFUSALS, SHARE = 10, 10, 4
local FIRST_WAIT, SHORTEST_WAIT, LONGEST_WAIT = 5, 1, 60
local REQUESTS, TOKENS, CONCURRENCY = 'requests_per_minute', 'tokens_per_minute', 'concurrency'
local DAY, MONTH, TOTAL, OUTPUT = 'tokens_per_day', 'tokens_per_month', 'tokens_total', 'output_tokens'
local BUDGETS = {[DAY] = true, [MONTH] = true, [TOTAL] = true}
-- What is kept for a process that is gone, should it come back, and of the calls that it lost, until its journal is
-- read; in seconds.
local MEMORY, LOST_MEMORY = 3600, 7 * 86400
-- The number of a message that no process reaches: those of a process that has ended are not taken any more.
local ENDED = 9007199254740991
-- What counts a minute goes by itself; the margin is for clocks that are moved.
local MARGIN = 60000

local now = message.now
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local space = string.match(KEYS[1], '^{.-}:') .. string.match(present, '^%S+ (%S+)') .. ':'
local budgets, running, paces, leases = space .. 'budgets', space .. 'running', space .. 'paces', space .. 'leases'
local me = message.process
local mine, calls = space .. 'process:' .. me, space .. 'calls:' .. me

-- Each message is applied once, however often it comes: a repeated one gets the answer that the first one got.
local last = tonumber(redis.call('HGET', mine, 'seq') or 0)
if message.seq < last then
  return cjson.encode({stale = true})
elseif message.seq == last then
  return redis.call('HGET', mine, 'answer')
end
redis.call('HSET', mine, 'seq', message.seq, 'answer', '{"failed":true}')
redis.call('EXPIRE', mine, MEMORY)

local function exact(number)
  return string.format('%.17g', number)
end

local function is_leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

-- The number of a time's month, counted from January 1970, and when the next one begins.
local function month(at)
  local left, year, number, first = math.floor(at / DAY_SECONDS), 1970, 0, 0
  while left - first >= (is_leap(year) and 366 or 365) do
    first = first + (is_leap(year) and 366 or 365)
    year, number = year + 1, number + 12
  end
  local lengths = {31, is_leap(year) and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
  for _, length in ipairs(lengths) do
    first = first + length
    if left < first then
      return number, first * DAY_SECONDS
    end
    number = number + 1
  end
end

-- The number of a budget's period: the present one, or that of another time.
local function period(dimension, at)
  if dimension == DAY then
    return math.floor((at or now) / DAY_SECONDS)
  end
  return dimension == MONTH and (month(at or now)) or 0
end

-- Whole again: in how many seconds a budget is.
local function until_whole(dimension)
  if dimension == DAY then
    return (math.floor(now / DAY_SECONDS) + 1) * DAY_SECONDS - now
  elseif dimension == MONTH then
    local _, ends = month(now)
    return ends - now
  end
  return math.huge
end

-- What of a budget is spent and what is promised, in its present period.
local function budget(one)
  local kept = redis.call('HGET', budgets, one[2] .. ' ' .. one[1]) or ''
  local when, spent, promised = string.match(kept, '^(%S+) (%S+) (%S+)$')
  spent = tonumber(when) == period(one[2]) and tonumber(spent) or 0
  return spent, tonumber(promised or 0)
end

local function left_of(one)
  local spent, promised = budget(one)
  return one[3] - spent - promised
end

local function charge(one, more_spent, more_promised)
  local spent, promised = budget(one)
  spent, promised = math.max(0, spent + more_spent), promised + more_promised
  local field = one[2] .. ' ' .. one[1]
  if spent == 0 and promised == 0 then
    redis.call('HDEL', budgets, field)
  else
    redis.call('HSET', budgets, field, string.format('%d %d %d', period(one[2]), spent, promised))
  end
end

-- The times that a sliding minute holds, and how many they are.
local function minute(kind, one)
  local key = space .. kind .. ':' .. one[1]
  while true do
    local oldest = redis.call('LINDEX', key, 0)
    if not oldest or tonumber(oldest) > now - MINUTE then
      return key, redis.call('LLEN', key)
    end
    redis.call('LPOP', key)
  end
end

local function minute_wait(kind, one, limit)
  local key, count = minute(kind, one)
  if limit <= 0 then
    return MINUTE
  end
  local over = count - limit
  return over >= 0 and tonumber(redis.call('LINDEX', key, over)) + MINUTE - now or 0
end

local function minute_take(key, when)
  redis.call('RPUSH', key, exact(when))
  redis.call('PEXPIRE', key, MINUTE * 1000 + MARGIN)
end

-- Counts one that was earlier than some that are counted: the times stay in order.
local function minute_insert(key, when)
  for _, later in ipairs(redis.call('LRANGE', key, 0, -1)) do
    if tonumber(later) > when then
      redis.call('LINSERT', key, 'BEFORE', later, exact(when))
      return
    end
  end
  minute_take(key, when)
end

local function due_of(one)
  return tonumber(redis.call('GET', space .. 'due:' .. one[1]) or 0)
end

local function flow(one, tokens)
  if one[3] <= 0 then
    return
  end
  local due = due_of(one)
  due = (tokens > 0 and math.max(due, now) or due) + tokens * MINUTE / one[3]
  if due > now then
    redis.call('SET', space .. 'due:' .. one[1], exact(due), 'PX', math.ceil((due - now) * 1000) + MARGIN)
  else
    redis.call('DEL', space .. 'due:' .. one[1])
  end
end

-- Takes tokens from every budget, and from every rate; a negative number gives some back.
local function promise(held, tokens, rated)
  for _, one in ipairs(held) do
    if BUDGETS[one[2]] then
      charge(one, 0, tokens)
    elseif one[2] == TOKENS then
      flow(one, rated)
    end
  end
end

local function run(held, more)
  for _, one in ipairs(held) do
    if one[2] == CONCURRENCY and redis.call('HINCRBY', running, one[1], more) <= 0 then
      redis.call('HDEL', running, one[1])
    end
  end
end

local function running_of(one)
  return tonumber(redis.call('HGET', running, one[1]) or 0)
end

-- About how long the latest calls took.
local function pace(one)
  return tonumber(redis.call('HGET', paces, one[1]) or FIRST_WAIT)
end

local function note(one, took)
  local seconds = pace(one)
  redis.call('HSET', paces, one[1], exact(seconds + (took - seconds) / 4))
end

local function pace_wait(one)
  return math.min(math.max(SHORTEST_WAIT, pace(one)), LONGEST_WAIT)
end

-- Tells whether a budget would not have room though all calls had ended.
local function is_spent(one, least)
  return BUDGETS[one[2]] and budget(one) + least > one[3]
end

local function wait_for(one, least, tokens)
  local dimension, limit = one[2], one[3]
  if is_spent(one, least) then
    return until_whole(dimension)
  elseif BUDGETS[dimension] then
    return left_of(one) >= least and 0 or pace_wait(one)
  elseif dimension == REQUESTS then
    return math.max(minute_wait('requests', one, limit), minute_wait('refusals', one, limit * REFUSALS))
  elseif dimension == TOKENS then
    if limit <= 0 then
      return MINUTE
    end
    return math.max(0, due_of(one) - math.max(0, BURST_SECONDS - tokens * MINUTE / limit) - now)
  elseif dimension == CONCURRENCY then
    return running_of(one) < limit and 0 or pace_wait(one)
  end
  return 0
end

-- JSON has no infinity: -1 stands for never.
local function finite(seconds)
  return seconds == math.huge and -1 or seconds
end

local function room(one)
  local dimension, limit = one[2], one[3]
  if BUDGETS[dimension] then
    return {math.max(0, left_of(one)), finite(until_whole(dimension))}
  elseif dimension == REQUESTS then
    local key, count = minute('requests', one)
    return {math.max(0, limit - count), count > 0 and tonumber(redis.call('LINDEX', key, -1)) + MINUTE - now or 0}
  elseif dimension == TOKENS then
    local due = due_of(one)
    local fit = math.floor((now + BURST_SECONDS - math.max(due, now)) * limit / MINUTE)
    return {math.max(0, fit), math.max(0, due - now)}
  elseif dimension == CONCURRENCY then
    return {math.max(0, limit - running_of(one)), 0}
  end
  return {limit, 0}
end

local function rooms(held)
  local found = {}
  for index, one in ipairs(held) do
    found[index] = room(one)
  end
  return found
end

-- A call that runs: what is reserved for its prompt and its output, what of that its rates know (-1 where they are not
-- to be told its end), since when it runs, its allowances, and more facts by name: `rate`, the tokens a second that it
-- can write, and `charged`, what it was charged when its process was not heard of any more.  Those stand among the
-- allowances, without a subject, where an older version of this script does not mind them.
local function keep(key, call, prompt, output, rated, since, held, facts)
  local all = {}
  for index, one in ipairs(held) do
    all[index] = one
  end
  for name, value in pairs(facts) do
    all[#all + 1] = {'', name, value}
  end
  local numbers = string.format('%d %d %d %.17g ', prompt, output, rated, since)
  redis.call('HSET', key, call, numbers .. cjson.encode(all))
end

local function kept(text)
  local prompt, output, rated, since, all = string.match(text, '^(%S+) (%S+) (%S+) (%S+) (.*)$')
  local held, facts = {}, {}
  for _, one in ipairs(cjson.decode(all)) do
    if one[1] == '' then
      facts[one[2]] = one[3]
    else
      held[#held + 1] = one
    end
  end
  return tonumber(prompt), tonumber(output), tonumber(rated), tonumber(since), held, facts
end

-- JSON's null is no number.
local function facts_of(rate)
  return {rate = type(rate) == 'number' and rate or nil}
end

local function ceiling_of(held)
  local ceiling = math.huge
  for _, one in ipairs(held) do
    if one[2] == OUTPUT then
      ceiling = math.min(ceiling, one[3])
    end
  end
  return ceiling
end

local function least_left(held)
  local least = math.huge
  for _, one in ipairs(held) do
    if BUDGETS[one[2]] then
      least = math.min(least, left_of(one))
    end
  end
  return least
end

-- What to reserve of the output, and the most that the answer may have.
local function portion(cap, left, metered)
  local step = message.step
  if left == math.huge then
    return math.min(cap, step), cap
  end
  left = math.max(0, left)
  if metered then
    cap = math.min(cap, left)
    return math.min(cap, step), cap
  end
  cap = math.min(left, cap == math.huge and math.max(step, math.floor(left / SHARE)) or cap)
  return cap, cap
end

local operations = {}

function operations.reserve(call, prompt, cap, metered, held, rate)
  cap = math.min(cap < 0 and math.huge or cap, ceiling_of(held))
  local least = prompt + (cap == 0 and 0 or 1)
  local output
  output, cap = portion(cap, least_left(held) - prompt, metered)
  local rated = prompt + math.min(output, message.step)
  for index, one in ipairs(held) do
    local wait = wait_for(one, least, rated)
    if wait > 0 then
      for _, other in ipairs(held) do
        if other[2] == REQUESTS then
          local key, count = minute('refusals', other)
          if count < other[3] * REFUSALS then
            minute_take(key, now)
          end
        end
      end
      return {0, index - 1, finite(wait), is_spent(one, least) and 1 or 0, rooms(held)}
    end
  end
  promise(held, prompt + output, rated)
  run(held, 1)
  for _, one in ipairs(held) do
    if one[2] == REQUESTS then
      minute_take((minute('requests', one)), now)
    end
  end
  keep(calls, call, prompt, output, rated, now, held, facts_of(rate))
  return {1, output, finite(cap), rooms(held)}
end

-- Another step of output, 0 where nothing is left.
function operations.extend(call)
  local text = redis.call('HGET', calls, call)
  if not text then
    return 0
  end
  local prompt, output, rated, since, held, facts = kept(text)
  local more = math.min(message.step, least_left(held), ceiling_of(held) + message.step - output)
  if more <= 0 then
    return 0
  end
  promise(held, more, more)
  keep(calls, call, prompt, output + more, rated < 0 and rated or rated + more, since, held, facts)
  return more
end

-- What the call cost in truth; `held` is for a call that is not known here, since the memory of it was lost.
function operations.settle(call, tokens, held)
  local text, reserved, rated, since = redis.call('HGET', calls, call), 0, -1, now
  if text then
    local prompt, output
    redis.call('HDEL', calls, call)
    prompt, output, rated, since, held = kept(text)
    reserved = prompt + output
    run(held, -1)
  end
  local noted = {}
  for _, one in ipairs(held) do
    if BUDGETS[one[2]] then
      charge(one, tokens, -reserved)
    elseif rated >= 0 and one[2] == TOKENS then
      flow(one, tokens - rated)
    end
    if text and not noted[one[1]] then
      noted[one[1]] = true
      note(one, now - since)
    end
  end
  return 1
end

-- Counts a call that runs already, since so many seconds.
function operations.adopt(call, prompt, output, ago, held, rate)
  for _, one in ipairs(held) do
    if BUDGETS[one[2]] then
      charge(one, 0, prompt + output)
    elseif one[2] == REQUESTS and ago < MINUTE then
      minute_insert((minute('requests', one)), now - ago)
    end
  end
  run(held, 1)
  keep(calls, call, prompt, output, -1, now - ago, held, facts_of(rate))
  return 1
end

operations.rooms = rooms

-- Has budgets count at least what was spent, as the database said at a time: {subject, dimension, tokens, time}.
operations['raise'] = function(found)
  for _, one in ipairs(found) do
    local spent = budget(one)
    if one[3] > spent and period(one[2], one[4]) == period(one[2]) then
      charge(one, one[3] - spent, 0)
    end
  end
  return 1
end

-- The process ends; what it could not settle is left to its lease.
function operations.bye()
  if redis.call('EXISTS', calls) == 0 then
    redis.call('ZREM', leases, me)
  end
  return 1
end

-- Visits each reservation of a process; returns how many calls they are of: a call and its place in flight share what
-- stands before the dot of their names.
local function each_call(key, visit)
  local fields, seen, calls_of = redis.call('HGETALL', key), {}, 0
  for index = 1, #fields, 2 do
    local name = string.match(fields[index], '^[^.]*')
    if not seen[name] then
      seen[name], calls_of = true, calls_of + 1
    end
    visit(fields[index], kept(fields[index + 1]))
  end
  return calls_of
end

-- Charges budgets more, or less, than was charged at a time, in periods that have not ended since.
local function correct(held, at, more_spent, more_promised)
  for _, one in ipairs(held) do
    if BUDGETS[one[2]] then
      local is_present = period(one[2], at) == period(one[2])
      charge(one, is_present and more_spent or 0, more_promised)
    end
  end
end

-- A process that has not been heard of: its calls hold no place any more, and are charged what they can have written up to
-- its last message, and no more than they had reserved.
local function bury(process)
  local theirs, lost = space .. 'calls:' .. process, space .. 'lost:' .. process
  local heard = tonumber(redis.call('ZSCORE', leases, process)) - message.lease
  local count = each_call(theirs, function(call, prompt, output, rated, since, held, facts)
    local written = output
    if facts.rate then
      written = math.min(output, math.floor(facts.rate * math.max(0, heard - since)))
    end
    facts.charged = prompt + written
    keep(theirs, call, prompt, output, rated, since, held, facts)
    run(held, -1)
    correct(held, now, facts.charged, -prompt - output)
  end)
  redis.call('ZREM', leases, process)
  if count > 0 then
    redis.call('RENAME', theirs, lost)
    redis.call('EXPIRE', lost, LOST_MEMORY)
    redis.call('SET', lost .. ':at', exact(now), 'EX', LOST_MEMORY)
  end
  return count
end

local function buried_at(process)
  return tonumber(redis.call('GET', space .. 'lost:' .. process .. ':at') or now)
end

-- It was only slow: its calls run on.
local function revive()
  local lost, at = space .. 'lost:' .. me, buried_at(me)
  local count = each_call(lost, function(call, prompt, output, rated, since, held, facts)
    local charged = facts.charged or prompt + output
    facts.charged = nil
    keep(lost, call, prompt, output, rated, since, held, facts)
    run(held, 1)
    correct(held, at, -charged, prompt + output)
  end)
  if count > 0 then
    redis.call('PERSIST', lost)
    redis.call('RENAME', lost, calls)
    redis.call('DEL', lost .. ':at')
  end
end

-- Of a process that has ended, whatever its journal says of its calls: takes no more messages of it, and returns what
-- it had reserved, as pairs of a name and the time since when.
function operations.held_by(process)
  local theirs, found = space .. 'process:' .. process, {}
  redis.call('HSET', theirs, 'seq', exact(ENDED), 'answer', '{"stale":true}')
  redis.call('EXPIRE', theirs, MEMORY)
  for _, state in ipairs({'calls:', 'lost:'}) do
    each_call(space .. state .. process, function(name, _, _, _, since)
      found[#found + 1] = {name, since}
    end)
  end
  return found
end

-- Ends the reservations of a process that has ended: each is charged the tokens that `charged` has under its name, or
-- what was reserved.  Returns how many calls they were of.
function operations.conclude(process, charged)
  local theirs, lost, at = space .. 'calls:' .. process, space .. 'lost:' .. process, buried_at(process)
  local count = each_call(theirs, function(name, prompt, output, rated, _, held)
    local reserved = prompt + output
    local tokens = charged[name] or reserved
    run(held, -1)
    correct(held, now, tokens, -reserved)
    for _, one in ipairs(held) do
      if rated >= 0 and one[2] == TOKENS then
        flow(one, tokens - rated)
      end
    end
  end)
  count = count + each_call(lost, function(name, prompt, output, _, _, held, facts)
    local before = facts.charged or prompt + output
    correct(held, at, (charged[name] or before) - before, 0)
  end)
  redis.call('DEL', theirs, lost, lost .. ':at')
  redis.call('ZREM', leases, process)
  return count
end

if not redis.call('ZSCORE', leases, me) then
  revive()
end
redis.call('ZADD', leases, exact(now + message.lease), me)
local buried = 0
if message.beat then
  for _, process in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', exact(now), 'LIMIT', 0, 10)) do
    buried = buried + bury(process)
  end
end

local answers = {}
for index, operation in ipairs(message.ops) do
  answers[index] = operations[operation[1]](unpack(operation, 2))
end
local answer = cjson.encode({now = now, living = redis.call('ZCARD', leases), buried = buried, answers = answers})
redis.call('HSET', mine, 'answer', answer)
return answer
