local spec = require "headgate.spec"
local flow = spec.flow()

local alias = "offline:CTRL-00042:EP-70421"

--- The fields of what was asked for last, after `changes` to a sample.
local function last_fields(sample, changes)
  local effects = flow:run(spec.event(sample, changes)).effects
  return effects[#effects].fields
end

describe("an anomaly begins", function()
  it("opens one alert, and does nothing else", function()
    local run = flow:run(spec.event "offline-raised")

    assert.same({ "alerts.create" }, run.asked)
    assert.equal(alias, run.effects[1].fields.alias)
    assert.equal("CTRL-00042 at Havnegade Garage: no heartbeat for 15 minutes", run.effects[1].fields.message)
    assert.equal("is_update", run.stopped_at)
  end)

  it("says in the trail and on the alert why it is that urgent", function()
    local run = flow:run(spec.event "offline-raised")

    assert.is_true(run.decided.is_worth_an_alert)
    assert.equal("major, at a gold site", run.why.is_worth_an_alert)
    assert.equal("major, at a gold site", run.effects[1].fields.note)
  end)

  it("asks for the same effects, under the same ids, whenever it is run again", function()
    local once, again = flow:run(spec.event "offline-raised"), flow:run(spec.event "offline-raised")
    assert.same(once.effects, again.effects)
  end)

  it("is told apart from the controller's next episode, from another kind, and from another controller", function()
    local function alias_with(changes) return last_fields("offline-raised", { body = changes }).alias end

    assert.equal("offline:CTRL-00042:EP-70499", alias_with { episode = "EP-70499" })
    assert.equal("temperature:CTRL-00042:EP-70421", alias_with { kind = "temperature" })
    assert.equal("offline:CTRL-00043:EP-70421", alias_with { controller_id = "CTRL-00043" })
  end)

  it("is alerted whatever its kind", function()
    local fields = last_fields "temperature-raised"

    assert.equal("temperature:CTRL-00107:EP-70433", fields.alias)
    assert.equal("P4", fields.priority)
    assert.same({ "temperature" }, fields.tags)
  end)

  it("alerts nobody while it is only for information", function()
    local run = flow:run(spec.event("offline-raised", { body = { severity = 1 } }))

    assert.same({}, run.asked)
    assert.equal("only for information", run.why.is_worth_an_alert)
    assert.equal("no alert was opened", run.why.is_settled)
  end)
end)

describe("the priority", function()
  local function priority(severity, tier)
    return last_fields("offline-raised", { body = { severity = severity, site = { tier = tier } } }).priority
  end

  it("goes from P5 to P2 with the severity, and is one higher at a gold site from major on", function()
    assert.same({ "P5", "P4", "P3", "P2" },
      { priority(2, "standard"), priority(3, "standard"), priority(4, "standard"), priority(5, "standard") })
    assert.same({ "P5", "P4", "P2", "P1" },
      { priority(2, "gold"), priority(3, "gold"), priority(4, "gold"), priority(5, "gold") })
  end)

  it("is P3 where the severity makes no sense: somebody should look", function()
    assert.equal("P3", priority("dramatic", "gold"))
    assert.equal("P3", priority(spec.null, "gold"))
  end)
end)

describe("an anomaly changes", function()
  it("brings message and priority of its alert up to date", function()
    local run = flow:run(spec.event "offline-updated")

    assert.same({ "alerts.create", "alerts.set_message", "alerts.set_priority" }, run.asked)
    for _, effect in ipairs(run.effects) do assert.equal(alias, effect.fields.alias) end
    assert.equal("CTRL-00042 at Havnegade Garage: no heartbeat for 45 minutes", run.effects[2].fields.message)
    assert.equal("P1", run.effects[3].fields.priority)
  end)

  it("closes the alert when it has calmed down to an information", function()
    local run = flow:run(spec.event("offline-updated", { body = { severity = 1 } }))

    assert.same({ "alerts.close" }, run.asked)
    assert.same({ alias = alias, note = "only for information" }, run.effects[1].fields)
  end)
end)

describe("an anomaly ends", function()
  it("closes its alert under the alias that opened it", function()
    local run = flow:run(spec.event "offline-cleared")

    assert.same({ "alerts.close" }, run.asked)
    assert.same({ alias = alias, note = "it is over" }, run.effects[1].fields)
  end)

  it("closes its alert however late the report comes", function()
    local a_week_later = spec.event("offline-cleared").received + 7 * 24 * 60 * 60 * 1000
    local run = flow:run(spec.event("offline-cleared", { received = a_week_later }))

    assert.is_nil(run.skipped)
    assert.same({ "alerts.close" }, run.asked)
  end)
end)

describe("a report with a flaw", function()
  it("still alerts when its site cannot be read", function()
    local fields = last_fields("offline-raised", { body = { site = "Havnegade Garage" } })

    assert.equal("CTRL-00042 at an unknown site: no heartbeat for 15 minutes", fields.message)
    assert.equal("P3", fields.priority)
  end)

  it("is held when its alias would not be its own", function()
    local run = flow:run(spec.event("offline-raised", { body = { episode = "" } }))
    assert.is_false(run.ok)
    assert.matches("body.episode: a text is needed, found the text \"\"", run.error, 1, true)
  end)

  it("is held when nobody has told this flow what its state means", function()
    local run = flow:run(spec.event("offline-raised", { body = { state = "muted" } }))
    assert.is_false(run.ok)
    assert.matches("body.state: one of raised, updated, cleared is needed", run.error, 1, true)
  end)
end)
