local need = require "headgate.need"

local event = { body = { name = "Anna", empty = "", number = 7, list = { 1 }, none = {}, site = { tier = "gold" },
  at = "2026-11-22T09:41:07.512Z" } }

--- The sentence that a step would fail with.
local function refusal(take, ...)
  local arguments = { ... }
  local ok, reason = pcall(function() local value = take(event, table.unpack(arguments)) return value end)
  assert.is_false(ok)
  return reason
end

describe("need", function()
  it("takes what is there", function()
    assert.equal("Anna", need.text(event, "body.name"))
    assert.equal("gold", need.text(event, "body.site.tier"))
    assert.equal(event.body.site, need.table(event, "body.site"))
    assert.equal(event.body.list, need.list(event, "body.list"))
    assert.equal("Anna", need.one_of(event, "body.name", "Ben", "Anna"))
    assert.same({ "2026-11-22", "09:41" }, { need.moment(event, "body.at") })
  end)

  it("takes an empty list, and an empty table", function()
    assert.equal(event.body.none, need.list(event, "body.none"))
    assert.equal(event.body.none, need.table(event, "body.none"))
  end)

  it("says where something else was found", function()
    assert.matches("body.age: a text is needed, found nothing", refusal(need.text, "body.age"))
    assert.matches("body.number.x: a text is needed, found nothing", refusal(need.text, "body.number.x"))
    assert.matches('body.empty: a text is needed, found the text ""', refusal(need.text, "body.empty"))
    assert.matches("body.number: a text is needed, found 7", refusal(need.text, "body.number"))
    assert.matches("body.list: a table is needed, found a list", refusal(need.table, "body.list"))
    assert.matches("body.site: a list is needed, found a table", refusal(need.list, "body.site"))
    assert.matches("body.name: one of Ben, Cem is needed", refusal(need.one_of, "body.name", "Ben", "Cem"))
    assert.matches("body.name: a moment such as", refusal(need.moment, "body.name"))
  end)

  it("points at the line that asked", function()
    assert.matches("^.*need_spec.lua:%d+: body.age", refusal(need.text, "body.age"))
  end)

  it("takes the fallback, and then never fails", function()
    assert.equal("unknown", need.text(event, "body.age", "unknown"))
    assert.equal("unknown", need.text(event, "body.number", "unknown"))
    assert.equal("unknown", need.text(event, "nobody.at.home", "unknown"))
    assert.is_false(need.text(event, "body.empty", false))
  end)

  it("accepts a moment in UTC only", function()
    for _, text in ipairs { "2026-11-22T09:41:07+01:00", "2026-11-22", "2026-11-22 09:41:07Z", "2026-11-22T09:41Z" } do
      assert.has_error(function() need.moment({ at = text }, "at") end)
    end
  end)
end)
