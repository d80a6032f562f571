-- For wrk: webhooks, each with an id of its own.
-- luacheck: globals request wrk
local count, name, text = 0, tostring(os.time()), ("0"):rep(200)

function request()
  count = count + 1
  return wrk.format("POST", "/hook", { ["Content-Type"] = "application/json" },
    ('{"id":"%s-%d","controller":"CTRL-%04d","text":"%s"}'):format(name, count, count % 1009, text))
end
