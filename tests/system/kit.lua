--- The kit of the system tests: a world of one's own for each test, on loopback, gone when it ends.
---
---     local kit = require "kit"
---     after_each(kit.tidy)
---
---     local world = kit.world()                    -- an exchange, simulators, a folder with headgate.yaml
---     world:story()                                -- the two flows of the repository, and their rules
---     world:start()                                -- the daemon; answers when it is ready
---     world:open "alert-operators"                 -- headgate on
---     world:publish { anomaly.new { state = "raised" } }
---     world:counts("alert-operators", { received = 1 })
---
--- Nothing here sleeps a fixed time: what takes time is polled, with a deadline.
local busted = require "busted"
local cjson = require "cjson"
local broker = require "broker"
local process = require "process"
local anomaly = require "anomaly"

local kit = { json = cjson, wait = process.wait, anomaly = anomaly, read = process.read, write = process.write,
  run = process.run }
local World = {}
World.__index = World

local build = os.getenv "BUILD" or "build"
local root = os.getenv "HEADGATE_TEST_FOLDER"        -- given by tests/run, which removes it
local headgate = build .. "/headgate"
local worlds = {}
local count = 0

local function shell(format, ...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = process.quote(words[i]) end
  assert(os.execute(format:format(table.unpack(words))))
end
kit.shell = shell

local function folder()
  if not root then
    root = os.tmpname()
    os.remove(root)
    shell("mkdir %s", root)
    busted.subscribe({ "suite", "end" }, function()
      broker.end_shared()
      shell("rm -rf %s", root)
      return nil, true
    end, { priority = 100 })
  end
  count = count + 1
  local path = ("%s/%d"):format(root, count)
  shell("mkdir -p %s/flows %s/rules", path, path)
  return path
end

-- ---- what a failed test shows ----------------------------------------------------------------------

local function show_logs(element)
  for _, world in ipairs(worlds) do
    local text = process.read(world.folder .. "/daemon.log") or ""
    io.stderr:write(("# --- the daemon's log of \"%s\" (its end):\n%s\n"):format(element.name, text:sub(-4000)))
  end
  return nil, true
end
busted.subscribe({ "failure", "it" }, show_logs)
busted.subscribe({ "error", "it" }, show_logs)

local function complaint_of_sanitizer(text)
  return text:match "[^\n]*Sanitizer:[^\n]*" or text:match "[^\n]*runtime error:[^\n]*"
end

--- After each test: everything it started ends.  Who had to be killed or crashed, or what a sanitizer found, fails it.
function kit.tidy()
  local stubborn = process.end_all()
  local found
  for _, world in ipairs(worlds) do
    for _, each in ipairs { world.daemon, world.sandbox } do
      local code = each:code()
      if code ~= 0 and code ~= 128 + 9 then found = ("%s ended with %d"):format(each.name, code) end
    end
    if world.own_broker then world.own_broker:stop() end
    for _, name in ipairs { "daemon.log", "sandbox.log" } do
      local text = process.read(world.folder .. "/" .. name) or ""
      if complaint_of_sanitizer(text) then
        found = complaint_of_sanitizer(text)
        io.stderr:write("# --- ", name, ":\n", text:sub(-8000), "\n")
      end
    end
  end
  worlds = {}
  assert(#stubborn == 0, "had to be killed, SIGTERM did not end it: " .. table.concat(stubborn, ", "))
  assert(not found, found)
end

-- ---- a world ---------------------------------------------------------------------------------------

--- `options`: sandbox (arguments of the simulators), own_broker (a node that this test may kill), exchange (false: it
--- is not declared), tls (the own broker has a port for TLS too, its CA in broker.folder/tls/ca.pem).
function kit.world(options)
  options = options or {}
  local self = setmetatable({ folder = folder() }, World)
  worlds[#worlds + 1] = self
  self.environment = "t" .. self.folder:gsub("[^%w]", "")
  self.exchange = "x." .. self.environment
  if options.own_broker then self.own_broker = broker.own(self.folder, options.tls) end
  self.broker = self.own_broker or broker.shared(self.folder)
  if options.exchange ~= false then self.broker:exchange(self.exchange) end
  self:start_sandbox(options.sandbox)
  self.config = {
    environment = self.environment, data = self.folder .. "/data",
    connections = {
      broker = { adapter = "amqp", url = self.broker:url() },
      alerts = { adapter = "opsgenie", api = self.opsgenie, key = "sandbox", concurrency = 100 },
      mail = { adapter = "smtp", url = self.smtp, from = "Sandbox <sandbox@example.com>" },
    },
  }
  return self
end

function World:start_sandbox(arguments)
  local ready = self.folder .. "/sandbox.json"
  local argv = { headgate, "sandbox", "--ready-file", ready, "--opsgenie-port", "0", "--mailbox-port", "0",
    "--mailbox-smtp-port", "0", "--http-port", "0", "--opsgenie-delay", "1ms", table.unpack(arguments or {}) }
  self.sandbox = process.start("the sandbox", argv, { log = self.folder .. "/sandbox.log" })
  local text = process.wait("the sandbox", 10, function() return process.read(ready) end)
  local places = cjson.decode(text)
  self.opsgenie, self.mailbox, self.smtp = places.opsgenie_api, places.mailbox_pages, places.mailbox_smtp
  self.http = places.http
end

--- JSON is YAML, so the configuration needs no writer of its own.
function World:configure()
  process.write(self.folder .. "/headgate.yaml", cjson.encode(self.config))
end

-- ---- flows and rules --------------------------------------------------------------------------------

local manifest = [[
flow: %s
title: A flow of the tests
owner: nobody
on: {broker: {exchange: %s, keys: ["%s"]}}
%s
]]

--- Writes a flow's folder.  `about`: keys (a binding key), manifest (what else its flow.yaml says), or yaml (all it
--- says, where EXCHANGE stands for the name of the exchange); lua; files (path to content).
function World:flow(name, about)
  local path = ("%s/flows/%s"):format(self.folder, name)
  local rest = about.manifest or ""
  if not rest:find "event:" then rest = "event: {id: body.id}\n" .. rest end
  shell("mkdir -p %s/templates", path)
  process.write(path .. "/flow.lua", about.lua)
  process.write(path .. "/flow.yaml", about.yaml and about.yaml:gsub("EXCHANGE", self.exchange)
    or manifest:format(name, self.exchange, about.keys or "#", rest))
  for file, content in pairs(about.files or {}) do process.write(path .. "/" .. file, content) end
  return path
end

--- A rule's file; its path.
function World:rule(name, lua)
  local path = ("%s/rules/%s.lua"):format(self.folder, name)
  process.write(path, lua)
  return path
end

--- The repository's two flows and their rules, listening to this world's exchange.  Their specs run by themselves
--- elsewhere; `with_specs` keeps them.
function World:story(with_specs)
  shell("cp -R flows/alert-operators flows/mail-contacts %s/flows/", self.folder)
  shell("cp scripts/rules/*.lua %s/rules/", self.folder)
  shell("sed -i 's/backend.anomalies/%s/' %s/flows/*/flow.yaml", self.exchange, self.folder)
  if not with_specs then shell("rm %s/rules/*_spec.lua %s/flows/*/*_spec.lua", self.folder, self.folder) end
end

-- ---- the daemon and its command line -------------------------------------------------------------------

function World:headgate(...)
  return process.run({ headgate, ... }, { env = { HEADGATE_CONFIG = self.folder .. "/headgate.yaml" } })
end

--- A command that must succeed; what it printed.
function World:must(...)
  local output, complaint, code = self:headgate(...)
  assert(code == 0, table.concat({ ... }, " ") .. ": " .. output .. complaint)
  return output
end

--- A command with --json; what it answered.  `status` also ends with 1 where the books do not balance.
function World:ask(...)
  local output, complaint, code = self:headgate(...)
  assert(code == 0 or output:sub(1, 1) == "{", table.concat({ ... }, " ") .. ": " .. output .. complaint)
  return cjson.decode(output)
end

function World:begin(...)
  self:configure()
  self.daemon = process.start("the daemon", { headgate, "run", "-c", self.folder .. "/headgate.yaml", ... },
    { log = self.folder .. "/daemon.log", env = self.env })
end

function World:await_ready()
  process.wait("the daemon to be ready", 15, function()
    if not self.daemon:is_running() then error("the daemon ended with " .. self.daemon:code(), 0) end
    local output = self:headgate("status", "--json")
    return output:find '"ready":true'
  end)
end

--- Starts the daemon with these arguments of `run`, and waits until it is ready.
function World:start(...)
  self:begin(...)
  self:await_ready()
end

--- Ends the daemon as systemd would; it must end well.
function World:stop(seconds)
  self.daemon:kill "TERM"
  local code = self.daemon:ended(seconds)
  assert(code == 0, "the daemon ended with " .. code)
end

function World:kill()
  self.daemon:kill "KILL"
  self.daemon:ended()
end

function World:open(...)
  for _, name in ipairs { ... } do
    self:must("on", name, "--why", "the test begins")
    process.wait(name .. " to listen", 15, function()
      local flow = self:flow_status(name)
      return flow.is_listening, flow.source
    end)
  end
end

function World:close(name) self:must("off", name, "--why", "the test says so") end

function World:log() return process.read(self.folder .. "/daemon.log") or "" end

--- Waits until the daemon's log holds the text (a plain one).
function World:says(text, seconds)
  process.wait('the log to say "' .. text .. '"', seconds or 10, function() return self:log():find(text, 1, true) end)
end

-- ---- looking ----------------------------------------------------------------------------------------------

function World:status() return self:ask("status", "--json") end

local function named(list, field, name)
  for _, each in ipairs(list) do
    if each[field] == name then return each end
  end
  error(("status knows no %s %s"):format(field, name), 3)
end

function World:flow_status(name) return named(self:status().flows, "flow", name) end
function World:lane(name) return named(self:status().lanes, "connection", name) end
function World:queue(flow) return ("headgate.%s.%s"):format(self.environment, flow) end

function World:held(...) return self:ask("held", "--json", "--limit", "1000", ...).held end

--- Waits until so many are held; gives them.
function World:await_held(many, seconds)
  local list
  process.wait(many .. " held", seconds or 15, function()
    list = self:held()
    return #list >= many, #list .. " are"
  end)
  assert(#list == many, ("%d are held, not %d: %s"):format(#list, many, cjson.encode(list)))
  return list
end

local function differs(actual, wanted)
  for name, value in pairs(wanted) do
    local is = actual[name]
    if type(value) == "table" then
      local why = differs(is or {}, value)
      if why then return name .. "." .. why end
    elseif is ~= value then
      return ("%s is %s, not %s"):format(name, tostring(is), tostring(value))
    end
  end
end

--- Waits until the flow's counts are these: { received = 3, finished = 2, skipped = { repeat = 1 } }.
function World:counts(name, wanted, seconds)
  process.wait("the counts of flow " .. name, seconds or 15, function()
    local why = differs(self:flow_status(name), wanted)
    return not why, why
  end)
end

function World:lane_counts(name, wanted, seconds)
  process.wait("the counts of lane " .. name, seconds or 15, function()
    local why = differs(self:lane(name), wanted)
    return not why, why
  end)
end

--- Waits until nothing waits and nothing is under way; then the books must balance.
function World:settle(seconds)
  local status
  process.wait("everything to settle", seconds or 20, function()
    status = self:status()
    for _, kind in ipairs { status.flows, status.lanes } do
      for _, each in ipairs(kind) do
        local name = each.flow or each.connection
        if each.waiting ~= 0 or each.under_way ~= 0 then
          return false, ("%s has %d waiting, %d under way"):format(name, each.waiting, each.under_way)
        end
      end
    end
    return true
  end)
  self:balances(status)
  self:verifies()
  return status
end

--- Every row of the store is what it should be, and fits to the others.
function World:verifies()
  local verified = self:ask("store", "verify", "--json")
  assert(verified.finding_count == 0, table.concat(verified.findings, "\n"))
end

--- The books balance, now.
function World:balances(status)
  status = status or self:status()
  for _, kind in ipairs { status.flows, status.lanes } do
    for _, each in ipairs(kind) do
      assert(each.difference == 0, "the books do not balance: " .. cjson.encode(each))
    end
  end
end

-- ---- publishing ---------------------------------------------------------------------------------------------

--- Texts, or tables that become JSON; with the key, or as anomalies with theirs.
function World:publish(bodies, key, options)
  local lines = {}
  options = options or {}
  for i, body in ipairs(bodies) do
    local text = type(body) == "string" and body or cjson.encode(body)
    lines[i] = key and text or anomaly.key(body) .. "\t" .. text
  end
  if not key then options.keyed = true end
  self.broker:publish(self.exchange, key or "-", lines, options)
end

-- ---- the simulators -------------------------------------------------------------------------------------------

local function http(method, url, body)
  local argv = { "curl", "-sS", "--noproxy", "*", "-X", method, url }
  if body then
    argv[#argv + 1] = "-d"
    argv[#argv + 1] = cjson.encode(body)
  end
  local output, complaint, code = process.run(argv)
  assert(code == 0, complaint)
  return cjson.decode(output)
end

function World:requests(method)
  local path = "/sandbox/opsgenie/requests?limit=200000" .. (method and "&method=" .. method or "")
  return http("GET", self.opsgenie .. path)
end

function World:alerts() return http("GET", self.opsgenie .. "/sandbox/opsgenie/alerts?limit=200000") end
function World:opsgenie_summary() return http("GET", self.opsgenie .. "/sandbox/opsgenie/summary") end
function World:opsgenie_fault(fault) http("POST", self.opsgenie .. "/sandbox/opsgenie/faults", fault) end
function World:opsgenie_faults() return http("GET", self.opsgenie .. "/sandbox/opsgenie/faults") end
function World:opsgenie_heals() http("DELETE", self.opsgenie .. "/sandbox/opsgenie/faults") end
function World:mails(to)
  return http("GET", self.mailbox .. "/sandbox/mailbox/mails?limit=200000" .. (to and "&to=" .. to or ""))
end
function World:mail_fault(fault) http("POST", self.mailbox .. "/sandbox/mailbox/faults", fault) end
function World:mail_heals() http("DELETE", self.mailbox .. "/sandbox/mailbox/faults") end
function World:mailbox_summary() return http("GET", self.mailbox .. "/sandbox/mailbox/summary") end

function World:http_requests() return http("GET", self.http .. "/sandbox/http/requests") end
function World:http_fault(fault) http("POST", self.http .. "/sandbox/http/faults", fault) end
function World:http_heals() http("DELETE", self.http .. "/sandbox/http/faults") end

--- Mails for each address: { ["ada@example.net"] = { mails = 1, repeats = 0 } }.
function World:recipients() return http("GET", self.mailbox .. "/sandbox/mailbox/recipients") end

return kit
