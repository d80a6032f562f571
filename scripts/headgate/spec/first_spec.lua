local first = require "headgate.first"

local function refusal(rows)
  local ok, reason = pcall(function() local rule = first(rows) return rule end)
  assert.is_false(ok)
  return reason
end

local function always() return true end

describe("a rule table", function()
  local size = first {
    { why = "more than ten", name = "large", when = function(n) return n > 10 end },
    { why = "more than five", name = "middle", when = function(n) return n > 5 end },
    { why = "the rest", name = "small" },
  }

  it("answers with the first row that fits", function()
    assert.equal("large", size(11).name)
    assert.equal("middle", size(10).name)
    assert.equal("small", size(5).name)
  end)

  it("answers with data only: what is in a row but its `when`", function()
    assert.same({ why = "more than ten", name = "large" }, size(11))
  end)

  it("answers with a copy: writing on it changes no later answer", function()
    size(11).name = "mine"
    assert.equal("large", size(11).name)
  end)

  it("hands all its arguments to `when`", function()
    local is_more = first { { why = "more", when = function(a, b) return a > b end }, { why = "not more" } }
    assert.equal("more", is_more(2, 1).why)
    assert.equal("not more", is_more(1, 2).why)
  end)
end)

describe("a rule table is refused", function()
  it("when a row does not say why", function()
    assert.matches("row 1 of 2 does not say why", refusal { { when = always }, { why = "else" } })
    assert.matches("row 1 of 1 does not say why", refusal { { why = "" } })
  end)

  it("when nothing might fit", function()
    assert.matches("row 2 of 2 is the last and has a `when`",
      refusal { { why = "a", when = always }, { why = "b", when = always } })
  end)

  it("when rows could never be reached", function()
    assert.matches("row 1 of 2 has no `when`, so it always fits", refusal { { why = "a" }, { why = "b" } })
  end)

  it("when a row is no row, or its `when` no function", function()
    assert.matches("row 1 of 2 is not a table", refusal { "a", { why = "b" } })
    assert.matches("row 1 of 2 has a `when` that is not a function",
      refusal { { why = "a", when = true }, { why = "b" } })
  end)

  it("when it is no list of rows", function()
    assert.matches("a list of rows is needed", refusal {})
    assert.matches("a list of rows is needed", refusal(nil))
    assert.matches("a pair of braces", refusal { { why = "a" }, why = "b" })
  end)

  it("with the line where it stands", function()
    assert.matches("first_spec.lua:%d+: first: ", refusal { { why = "" } })
  end)
end)
