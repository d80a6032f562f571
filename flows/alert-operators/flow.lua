--- Keep one OpsGenie alert for each anomaly: opened, brought up to date and closed by its alias.
--- A repeat is harmless: OpsGenie has one open alert for an alias, and merges a second `create` into it.
local need = require "headgate.need"
local severity = require "rules.severity"
local step = {}

--- An empty part would make strangers share an alert, and one's `cleared` close the other's.
function step.name_alert(event)
  local kind = need.text(event, "body.kind")
  local controller = need.text(event, "body.controller_id")
  local site = need.text(event, "body.site.name", "an unknown site")

  need.one_of(event, "body.state", "raised", "updated", "cleared")
  event.alias = ("%s:%s:%s"):format(kind, controller, need.text(event, "body.episode"))
  event.message = ("%s at %s: %s"):format(controller, site, need.text(event, "body.text", kind))
end

function step.is_worth_an_alert(event)
  event.call = severity(event.body)
  return event.call.priority ~= nil, event.call.why
end

--- On `updated` too: whoever missed the beginning (the gate was off, it was harmless then) still gets the alert.
function step.open_alert(event)
  alerts.create {
    alias = event.alias, message = event.message, priority = event.call.priority, note = event.call.why,
    entity = event.body.controller_id, tags = { event.body.kind }, source = "headgate",
    details = { controller = event.body.controller_id, episode = event.body.episode },
  }
end

function step.is_update(event)
  return event.body.state == "updated", "it was " .. event.body.state
end

--- A `create` that OpsGenie merges changes nothing, so what may have changed is said again.
function step.update_alert(event)
  alerts.set_message { alias = event.alias, message = event.message }
  alerts.set_priority { alias = event.alias, priority = event.call.priority }
end

function step.is_settled(event)
  if event.body.state == "raised" then return false, "no alert was opened" end
  return event.call.priority == nil, event.call.why
end

function step.close_alert(event)
  alerts.close { alias = event.alias, note = event.call.why }
end

return step
