local spec = require "headgate.spec"
local language = spec.rule "language"

describe("the language we write in", function()
  it("is the one that is wished for", function()
    assert.equal("da", (language "da"))
    assert.equal("de", (language "de"))
    assert.equal("en", (language "en"))
  end)

  it("looks past the country and the spelling", function()
    for _, wish in ipairs { "de-AT", "de_CH", "DE", "De-de" } do assert.equal("de", (language(wish))) end
  end)

  it("is English where we have nothing better, and says why", function()
    assert.same({ "en", "we do not write in it-IT" }, { language "it-IT" })
    assert.same({ "en", "we do not write in deutsch" }, { language "deutsch" })
    assert.same({ "en", "no language is known" }, { language(nil) })
    for _, wish in ipairs { spec.null, false, 7, "", "42" } do assert.equal("en", (language(wish))) end
  end)
end)
