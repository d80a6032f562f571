--- The world of the demo: a private broker, the sandbox, the daemon; and what can be asked of them.
---
--- Each process is started in a session of its own (Ctrl-C is the story's business, not theirs), writes to
--- FOLDER/NAME.log, and is noted in FOLDER/processes as "PID NAME" at the moment it starts: FOLDER/stop ends those.
local json = require "cjson"
local world = {}

local END = "\n@end@\n"      -- between the answers of several questions put in one call of curl

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function command_line(words)
  local quoted = {}
  for index, word in ipairs(words) do quoted[index] = quote(word) end
  return table.concat(quoted, " ")
end

--- What the command prints (stderr too, unless `drops_errors`), and whether it ended with 0.
local function output_of(words, drops_errors)
  local pipe = assert(io.popen(command_line(words) .. (drops_errors and " 2>/dev/null" or " 2>&1")))
  local text = pipe:read "a"
  return text, pipe:close() == true
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function write_file(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- Seconds, never set back, to the hundredth.
function world.seconds()
  return tonumber(read_file("/proc/uptime"):match "^[%d.]+")
end

function world.sleep(seconds)
  local ok, how = os.execute(("sleep %.2f"):format(seconds))
  if not ok and how == "signal" then error("interrupted!", 0) end    -- Ctrl-C went to `sleep`
end

function world.open(root, build, folder)
  world.root, world.build, world.folder = root, build, folder
  world.socket, world.config = folder .. "/store/admin.sock", folder .. "/headgate.yaml"
end

--- The last lines of a log, for when something does not start.
function world.log_of(name)
  local text = read_file(world.folder .. "/" .. name .. ".log") or ""
  return text:sub(-1500)
end

local function start(name, words)
  local pipe = assert(io.popen(("cd %s && { setsid %s </dev/null >>%s 2>&1 & echo $!; }"):format(
    quote(world.folder), command_line(words), quote(name .. ".log"))))
  local pid = pipe:read "n"
  pipe:close()
  local notes = assert(io.open(world.folder .. "/processes", "a"))
  notes:write(pid, " ", name, "\n")
  notes:close()
  return pid
end

local function runs(pid)
  local state = (read_file("/proc/" .. pid .. "/stat") or ""):match "%) (%a)"
  return state ~= nil and state ~= "Z"
end

--- Asks `is_there` again and again until it is, while `pid` lives.
local function await(what, pid, limit_s, is_there)
  local start_s = world.seconds()
  while not is_there() do
    if not runs(pid) and not is_there() then
      error({ reason = what .. " ended", log = world.log_of(what) })
    elseif world.seconds() - start_s > limit_s then
      error({ reason = ("%s did not come up within %d seconds"):format(what, limit_s), log = world.log_of(what) })
    end
    world.sleep(0.05)
  end
end

-- ---- starting ------------------------------------------------------------------------------------

function world.start_broker()
  local path = world.folder .. "/broker-start.log"        -- the tool prints the port there, once the node answers
  local pid = start("broker-start", { world.root .. "/tests/tools/broker", "start", world.folder .. "/broker" })
  await("broker-start", pid, 60, function() return not runs(pid) and (read_file(path) or ""):find "^%d+\n$" end)
  world.port = read_file(path):match "%d+"
end

function world.start_sandbox()
  local path = world.folder .. "/sandbox.json"
  local pid = start("sandbox", { world.build .. "/headgate", "sandbox", "--opsgenie-port", "0", "--mailbox-smtp-port",
    "0", "--mailbox-port", "0", "--http-port", "0", "--opsgenie-delay", "50ms", "--ready-file", path })
  await("sandbox", pid, 10, function() return read_file(path) ~= nil end)
  world.places = json.decode(read_file(path))
end

--- The flows and rules of the checkout are copied: the story changes one.
function world.configure()
  local copied, ok = output_of { "cp", "-R", world.root .. "/flows", world.root .. "/scripts/rules", world.folder }
  assert(ok, copied)
  -- Half a minute tells of weeks: a contact gets more mails "within a day" than the built-in fuse lets pass.
  local manifest = world.folder .. "/flows/mail-contacts/flow.yaml"
  local text, found = read_file(manifest):gsub("\nlimits: {", "%0per_recipient: none, ", 1)
  assert(found == 1, "mail-contacts/flow.yaml says no limits")
  write_file(manifest, text)
  write_file(world.config, ([[
# The demo's node: a broker and a sandbox on loopback.
environment: demo
data: store
connections:
  broker: {adapter: amqp, url: "amqp://guest:guest@127.0.0.1:%s/"}
  alerts: {adapter: opsgenie, api: "%s", key: sandbox, concurrency: 64}
  mail:   {adapter: smtp, url: "%s", from: "Support <support@example.com>"}
]]):format(world.port, world.places.opsgenie_api, world.places.mailbox_smtp))
end

function world.start_daemon()
  world.daemon = start("daemon", { world.build .. "/headgate", "run", "-c", world.config })
  await("daemon", world.daemon, 20, function()
    local status = world.look().status
    return status and status.ready
  end)
end

--- As if the machine had died under it: no signal handler runs, nothing is flushed.
function world.kill_daemon()
  os.execute("kill -KILL " .. world.daemon)
  while runs(world.daemon) do world.sleep(0.02) end
end

-- ---- asking --------------------------------------------------------------------------------------

local function headgate(...)
  return { "env", "-C", world.folder, "HEADGATE_CONFIG=" .. world.config, world.build .. "/headgate", ... }
end

--- `headgate WORDS...` as a person would type it in the folder: what it printed, and whether it ended with 0.
function world.headgate(...)
  return output_of(headgate(...))
end

function world.headgate_json(...)
  local words = headgate(...)
  words[#words + 1] = "--json"
  return json.decode((output_of(words, true)))
end

local function curl(words)
  return output_of({ "curl", "-s", "--noproxy", "*", "--max-time", "20", table.unpack(words) }, true)
end

local function decoded(text)
  local ok, value = pcall(json.decode, text)
  return ok and value or nil
end

--- A look at everything at once: { status =, alerts =, mails = }; nil where nobody answers.
function world.look()
  local pages = { "http://headgate/v1/status", world.places.opsgenie_api .. "/sandbox/opsgenie/summary",
    world.places.mailbox_pages .. "/sandbox/mailbox/summary" }
  local words = { "--unix-socket", world.socket, "-w", END, pages[1], "--next", "-s", "--noproxy", "*",
    "--max-time", "5", "-w", END, pages[2], pages[3] }
  local found = {}
  for answer in curl(words):gmatch("(.-)" .. END) do found[#found + 1] = decoded(answer) or false end
  return { status = found[1], alerts = found[2], mails = found[3] }
end

function world.alerts()
  return json.decode((curl { world.places.opsgenie_api .. "/sandbox/opsgenie/alerts?limit=100000" }))
end

function world.alert(alias)
  local url = world.places.opsgenie_api .. "/v2/alerts/" .. alias .. "?identifierType=alias"
  return (decoded((curl { "-H", "Authorization: GenieKey sandbox", url })) or {}).data
end

function world.mails()
  return json.decode((curl { world.places.mailbox_pages .. "/sandbox/mailbox/mails?limit=100000" }))
end

function world.opsgenie_fault(fault)
  local url = world.places.opsgenie_api .. "/sandbox/opsgenie/faults"
  curl(fault and { "-d", json.encode(fault), url } or { "-X", "DELETE", url })
end

function world.mailbox_fault(fault)
  curl { "-d", json.encode(fault), world.places.mailbox_pages .. "/sandbox/mailbox/faults" }
end

-- ---- the broker -------------------------------------------------------------------------------------

local function rabbit(...)
  return { world.build .. "/tools/rabbit", "--port", world.port, ... }
end

function world.declare_exchange(name)
  local text, ok = output_of(rabbit("declare-exchange", name, "topic"))
  assert(ok, text)
end

--- How many messages wait in a flow's queue.
function world.queue(flow)
  return tonumber((output_of(rabbit("count", "headgate.demo." .. flow), true)))
end

--- A publisher that takes lines "ROUTING-KEY<TAB>BODY".  Its connection is closed in order at the end, so the broker
--- has handled them all; whether it did shows when what was published is held against what the flows received.
function world.publisher(exchange, content_type)
  return assert(io.popen(command_line(rabbit("publish", exchange, "-", "--keyed", "--content-type",
    content_type)), "w"))
end

-- ---- the copies -------------------------------------------------------------------------------------

function world.replace_in(path, old, new)
  local text = assert(read_file(world.folder .. "/" .. path))
  local from, to = text:find(old, 1, true)
  assert(from, path .. " has changed: the demo does not find what it wants to edit")
  write_file(world.folder .. "/" .. path, text:sub(1, from - 1) .. new .. text:sub(to + 1))
end

return world
