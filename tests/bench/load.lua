-- SPDX-License-Identifier: Apache-2.0
-- wrk's requests: POST of a chat completion, no two bodies alike. Arguments after `--`:
-- target, Host header, shape (1k | 300k | 300k_all_new), seed (32 hex digits). BENCH_HEADERS:
-- further fields, each with its CRLF.
local ffi = require("ffi")
local bit = require("bit")
local TURNS, TURN_BYTES = 60, 5 * 1024
local OPENING, CLOSING = '{"model":"bench","messages":[', "]}"
local head, shape  -- head: the request's, up to the value of its Content-Length
local state, count = {}, 0
local conversations = {}
local pool = 16
-- One for all: a new one for each body costs more than what is written to it.
local buffer = ffi.new("int32_t[?]", TURNS * TURN_BYTES / 4)

-- `bytes` letters, all new: Marsaglia's xorshift128, whose period no two seeds meet on, over 32-bit
-- words; each byte is one of a..p.
local function letters(bytes)
  local words = bit.rshift(bytes, 2)
  local x, y, z, w = state[1], state[2], state[3], state[4]
  for i = 0, words - 1 do
    local t = bit.bxor(x, bit.lshift(x, 11))
    x, y, z = y, z, w
    w = bit.bxor(w, bit.rshift(w, 19), t, bit.rshift(t, 8))
    buffer[i] = bit.band(w, 0x0f0f0f0f) + 0x61616161
  end
  state[1], state[2], state[3], state[4] = x, y, z, w
  return ffi.string(buffer, words * 4)
end

local function message(bytes)
  return '{"role":"user","content":"' .. letters(bytes) .. '"}'
end

-- The next turn of one of `pool` conversations, which stand at different lengths.
local function next_turn()
  count = count + 1
  local index = count % pool
  local talk = conversations[index]
  if not talk or talk.turns >= TURNS then
    talk = { turns = 1, text = message(TURN_BYTES) }
    conversations[index] = talk
  else
    talk.turns = talk.turns + 1
    talk.text = talk.text .. "," .. message(TURN_BYTES)
  end
  return talk.text
end

-- wrk would try each address with a connection that says nothing, which the gatehouse refuses where
-- it opens TLS.
function wrk.resolve(host, service)
  wrk.addrs = wrk.lookup(host, service)
end

function init(arguments)
  shape = arguments[3]
  head = table.concat({
    "POST " .. arguments[1] .. " HTTP/1.1", "Host: " .. arguments[2],
    "Content-Type: application/json", os.getenv("BENCH_HEADERS") .. "Content-Length: " }, "\r\n")
  for word = 1, 4 do
    state[word] = bit.tobit(tonumber(arguments[4]:sub(8 * word - 7, 8 * word), 16))
  end
  if shape == "300k" then
    for index = 0, pool - 1 do
      local turns = 1 + math.floor(index * TURNS / pool)
      local parts = {}
      for i = 1, turns do parts[i] = message(TURN_BYTES) end
      conversations[index] = { turns = turns, text = table.concat(parts, ",") }
    end
  end
end

function request()
  local messages
  if shape == "1k" then
    messages = message(960)
  elseif shape == "300k" then
    messages = next_turn()
  else
    messages = message(TURNS * TURN_BYTES)
  end
  -- In one go: each step between would be a copy of a body of 300 KB.
  return head .. #OPENING + #messages + #CLOSING .. "\r\n\r\n" .. OPENING .. messages .. CLOSING
end

function done(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"bad":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration / 1e6, bad, latency:percentile(50),
    latency:percentile(99)))
end
