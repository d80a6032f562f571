--- Write to every contact of a site when its controller goes offline, and when it is back.
--- Each mail is an effect of its own: one that fails is tried again alone, and nobody else is written to twice.
local language = require "rules.language"
local monitored = require "rules.monitored"
local need = require "headgate.need"
local recipients = require "rules.recipients"
local step = {}

local templates = { raised = "offline", cleared = "back-online" }   -- and none for `updated`

function step.is_news(event)
  local state = need.one_of(event, "body.state", "raised", "updated", "cleared")
  event.template = templates[state]
  return event.template ~= nil, "it was " .. state
end

function step.is_monitored(event)
  return monitored(need.table(event, "body.site"), (need.moment(event, "body.at")))
end

function step.has_recipients(event)
  local why
  event.recipients, why = recipients(need.list(event, "body.site.contacts"))
  return #event.recipients > 0, why
end

function step.write_to_each(event)
  local day, time = need.moment(event, "body.at")
  local controller, site = need.text(event, "body.controller_id"), need.text(event, "body.site.name")

  for _, contact in ipairs(event.recipients) do
    mail.send {
      to = contact.email, template = event.template, language = language(contact.language),
      data = { name = contact.name, controller = controller, site = site, day = day, time = time },
    }
  end
end

return step
