--- The admin socket: for the daemon's user alone; and what is printed for machines can be read by machines.
local kit = require "kit"
local anomaly = kit.anomaly

describe("the admin socket", function()
  after_each(kit.tidy)

  it("may be used by its owner only", function()
    local world = kit.world()
    world:story()
    world:start()
    local mode = kit.run { "stat", "-c", "%a", world.folder .. "/data/admin.sock" }
    assert.equal("600\n", mode)
    local _, complaint, code = world:headgate("status", "--socket", world.folder .. "/none.sock")
    assert.equal(69, code)
    assert.matches("no daemon answers", complaint)
  end)

  it("answers everything as JSON, whatever stands in the events", function()
    local world = kit.world()
    world:story()
    world:start()
    world:open("alert-operators", "mail-contacts")
    local nasty = 'CTRL-"\\</b>\u{2028}é'
    world:publish { anomaly.new { controller_id = nasty, text = "quotes \" and\nlines\tand \u{1F600}" } }
    world:publish({ '{"anomaly_id":"bad","text":"\\u0000\\u001b[31m"}', "\xff\xfe\x00{" }, "anomaly.offline.raised")
    world:await_held(4)
    world:settle()

    assert.equal(2, #world:ask("trace", nasty, "--json").runs)
    assert.equal(4, #world:held())
    for _, held in ipairs(world:held()) do world:ask("held", "show", ("%d"):format(held.held), "--json") end
    assert.is_true(#world:ask("audit", "--json").audit >= 8)
    assert.equal(1, #world:ask("releases", "mail-contacts", "--json").releases)
    assert.is_table(world:ask("doctor", "--json"))
    assert.equal(2, #world:status().flows)
    for _, command in ipairs { { "status" }, { "audit" }, { "doctor" }, { "held" }, { "trace", nasty } } do
      local output = world:must(table.unpack(command))
      assert.falsy(output:find "\27", "a control character of an event reached the terminal")
    end
  end)

  it("says no in words to what makes no sense", function()
    local world = kit.world()
    world:story()
    world:start()
    local function ask(path)
      return (kit.run { "curl", "-s", "--unix-socket", world.folder .. "/data/admin.sock", "http://headgate" .. path })
    end
    assert.matches('"error"', ask "/v1/trace")
    assert.matches('"error"', ask "/v1/nothing")
    assert.matches('"error"', ask "/v1/held/17")
    assert.matches('"error"', ask "/v1/releases?name=nobody")
    assert.matches('"ready":true', ask "/v1/status")
  end)
end)
