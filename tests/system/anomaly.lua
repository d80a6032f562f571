--- Reports of the monitoring backend, as flows/README.md describes them.
local anomaly = {}

local count = 0

local function with(value, changes)
  for name, new in pairs(changes or {}) do
    if type(new) == "table" and type(value[name]) == "table" and new[1] == nil then
      with(value[name], new)
    else
      value[name] = new
    end
  end
  return value
end

function anomaly.moment(seconds_ago)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - (seconds_ago or 0))
end

--- One report, with an id of its own; `changes` are laid over it.
function anomaly.new(changes)
  count = count + 1
  return with({
    anomaly_id = ("AN-%d"):format(count), episode = "EP-1", controller_id = "CTRL-00042",
    kind = "offline", state = "raised", severity = 4,
    text = "no heartbeat for 15 minutes", at = anomaly.moment(),
    site = {
      id = "SITE-0117", name = "Havnegade Garage", tier = "gold",
      monitoring = { bought = true, through = "2099-12-31" },
      contacts = { { name = "Anna Winkler", email = "anna.winkler@example.com", language = "de-AT" } },
    },
  }, changes)
end

function anomaly.key(report)
  return ("anomaly.%s.%s"):format(report.kind, report.state)
end

function anomaly.alias(report)
  return ("%s:%s:%s"):format(report.kind, report.controller_id, report.episode)
end

--- A stream of `many` reports over `controllers` controllers, each going through raised, updated, cleared, one episode
--- after the other.  Every controller has a contact of its own, so that its mails can be told apart.
function anomaly.stream(many, controllers)
  local reports = {}
  local states = { "raised", "updated", "cleared" }
  for i = 0, many - 1 do
    local controller, turn = i % controllers, i // controllers
    reports[#reports + 1] = anomaly.new {
      controller_id = ("CTRL-%05d"):format(controller), episode = ("EP-%d"):format(turn // 3 + 1),
      state = states[turn % 3 + 1],
      site = { contacts = { { name = "Contact", language = "en", email = ("c%d@example.com"):format(controller) } } },
    }
  end
  return reports
end

return anomaly
