--- Ask for one mail an event.
-- luacheck: read_globals mail
local step = {}

function step.run(event)
  mail.send { to = "c@example.com", subject = "A controller is offline", text = ("0"):rep(300) .. event.id }
end

return step
