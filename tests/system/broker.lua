--- A private RabbitMQ node, and a small hand for it (tests/tools).
---
--- All tests of a run share one: `tests/run` starts it and names its folder in HEADGATE_TEST_BROKER.  Without that
--- (busted by hand), the first test that needs one starts it.  A test that kills its node has its own: broker.own().
local process = require "process"

local broker = {}
local Broker = {}
Broker.__index = Broker

local build = os.getenv "BUILD" or "build"
local script = "tests/tools/broker"
local shared

local function attach(folder)
  local env = assert(process.read(folder .. "/env"), "there is no broker in " .. folder)
  local port, tls_port = env:match "^PORT=(%d+)", env:match "TLS_PORT=(%d+)"
  return setmetatable({ folder = folder, port = port, tls_port = tls_port }, Broker)
end

local function start(folder, with_tls)
  local output, complaint, code = process.run { script, "start", folder, with_tls and "--tls" or nil }
  assert(code == 0, output .. complaint)
  local node = attach(folder)
  node.is_ours = true
  return node
end

function broker.shared(folder)
  if not shared then
    local given = os.getenv "HEADGATE_TEST_BROKER"
    shared = given and attach(given) or start(folder .. "/broker")
  end
  return shared
end

function broker.own(folder, with_tls)
  return start(folder .. "/broker", with_tls)
end

function broker.end_shared()
  if shared and shared.is_ours then shared:stop() end
  shared = nil
end

function Broker:url()
  return ("amqp://guest:guest@127.0.0.1:%s/"):format(self.port)
end

function Broker:stop() process.run { script, "stop", self.folder } end
function Broker:kill() process.run { script, "kill", self.folder } end

--- rabbitmqctl on this node; what it printed.
function Broker:ctl(...)
  local output, complaint, code = process.run { script, "ctl", self.folder, ... }
  assert(code == 0, output .. complaint)
  return output
end

local function signal(self, name)
  local id
  for each in process.read(self.folder .. "/env"):gmatch "BROKER_PID=(%d+)" do id = each end
  assert(os.execute(("kill -s %s %s"):format(name, id)))
end

function Broker:freeze() signal(self, "STOP") end
function Broker:thaw() signal(self, "CONT") end

--- Closes the connections of those clients that call themselves `product`.
function Broker:cut(product)
  for line in self:ctl("-q", "list_connections", "pid", "client_properties"):gmatch "[^\n]+" do
    if line:find(product, 1, true) then self:ctl("close_connection", line:match "^(%S+)", "cut by the test") end
  end
end

function Broker:restart()
  local output, complaint, code = process.run { script, "restart", self.folder }
  assert(code == 0, output .. complaint)
end

local function rabbit(self, ...)
  return { build .. "/tools/rabbit", "--port", self.port, ... }
end

--- The hand leaves its memory to the system when it ends; a sanitizer has nothing to say about that.
local env = { ASAN_OPTIONS = "detect_leaks=0" }

--- The hand's command to its end; what it printed.
function Broker:rabbit(...)
  local output, complaint, code = process.run(rabbit(self, ...), { env = env })
  assert(code == 0, complaint)
  return output
end

function Broker:exchange(name, kind) self:rabbit("declare-exchange", name, kind or "topic") end

--- How many messages wait in the queue, those being worked on not counted.
function Broker:count(queue)
  return tonumber(self:rabbit("count", queue):match "%d+")
end

--- Publishes with confirms.  `bodies`: texts, one message a line; `options`, as of the tool: type, headers, raw ...
function Broker:publish(exchange, key, bodies, options)
  local argv = rabbit(self, "publish", exchange, key, "--confirm")
  for name, value in pairs(options or {}) do
    argv[#argv + 1] = "--" .. name
    if value ~= true then argv[#argv + 1] = value end
  end
  local input = table.concat(bodies, "\n") .. (options and options.raw and "" or "\n")
  local _, complaint, code = process.run(argv, { input = input, env = env })
  assert(code == 0, complaint)
end

--- Publishes lines of "KEY<TAB>BODY" in the background, at a rate.
function Broker:pour(exchange, lines, rate, folder)
  process.write(folder .. "/pour", table.concat(lines, "\n") .. "\n")
  return process.start("the publisher", rabbit(self, "publish", exchange, "-", "--confirm", "--keyed", "--rate", rate),
    { log = folder .. "/pour.log", input = folder .. "/pour", env = env })
end

--- Starts somebody else who consumes from the queue: "hold" keeps what it gets, "consume" acknowledges and prints it.
function Broker:stranger(how, queue, folder)
  return process.start("a stranger", rabbit(self, how, queue),
    { log = folder .. "/stranger.log", out = folder .. "/stranger.out", env = env })
end

return broker
