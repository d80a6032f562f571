local spec = require "headgate.spec"
local severity = spec.rule "severity"

local function judge(level, tier)
  return severity { state = "raised", severity = level, site = { tier = tier } }
end

describe("how urgent an anomaly is", function()
  it("follows its severity", function()
    assert.is_nil(judge(1).priority)
    assert.equal("P5", judge(2).priority)
    assert.equal("P4", judge(3).priority)
    assert.equal("P3", judge(4).priority)
    assert.equal("P2", judge(5).priority)
  end)

  it("is one higher at a gold site, from major on", function()
    assert.is_nil(judge(1, "gold").priority)
    assert.equal("P4", judge(3, "gold").priority)
    assert.equal("P2", judge(4, "gold").priority)
    assert.equal("P1", judge(5, "gold").priority)
  end)

  it("is nothing any more when it is over, whatever the severity", function()
    local call = severity { state = "cleared", severity = 5, site = { tier = "gold" } }
    assert.same({ why = "it is over" }, call)
  end)

  it("is P3 for a severity outside of 1 to 5, a word, or none", function()
    for _, level in ipairs { 0, 6, -1, "5" } do assert.equal("P3", judge(level, "gold").priority) end
    assert.equal("P3", severity({ state = "raised" }).priority)
  end)

  it("is judged without the site where that cannot be read", function()
    assert.equal("critical", severity({ state = "raised", severity = 5, site = spec.null }).why)
    assert.equal("critical", severity({ state = "raised", severity = 5, site = "gold" }).why)
  end)

  it("comes with a reason", function()
    assert.equal("critical, at a gold site", judge(5, "gold").why)
    assert.equal("only for information", judge(1).why)
  end)
end)
