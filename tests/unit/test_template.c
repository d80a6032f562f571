/* test_template.c - texts with places to fill in */
#include "core/base/template.h"

#include "test.h"

#define LIMIT 10000

static struct err err;
static char rendered[LIMIT + 1];

static const char *render_as(const char *text, const char *data, bool is_html)
{
    json_error_t why;
    json_t *json = json_loads(data, JSON_DECODE_ANY, &why);
    assert_non_null(json);
    struct buf out = BUF_INIT(LIMIT);
    struct template template = {"t.txt", 1, slice_of(text), is_html};
    err = (struct err)ERR_INIT;
    bool ok = template_render(&template, json, &out, &err);
    snprintf(rendered, sizeof rendered, "%s", ok ? (out.data ? out.data : "") : "failed");
    assert_int_equal(ok, err.text[0] == '\0');
    buf_clear(&out);
    json_decref(json);
    return rendered;
}

static const char *render(const char *text, const char *data)
{
    return render_as(text, data, false);
}

static const char *error_of(const char *text, const char *data)
{
    assert_string_equal(render(text, data), "failed");
    return err.text;
}

TEST(a_value_is_found_by_its_path)
{
    assert_string_equal(render("Dear {{ contact.name }}!", "{\"contact\":{\"name\":\"Zoë\"}}"), "Dear Zoë!");
    assert_string_equal(render("no tags", "{}"), "no tags");
    assert_string_equal(render("", "{}"), "");
}

TEST(a_name_that_is_not_in_the_data_is_an_error_with_line_and_path)
{
    assert_string_equal(error_of("a\nb\nDear {{site.name}},", "{\"site\":{}}"),
                        "t.txt:3: there is no `site.name` in the data");
    assert_string_equal(error_of("{{site.name.first}}", "{\"site\":{\"name\":\"x\"}}"),
                        "t.txt:1: there is no `site.name.first` in the data");
    assert_string_equal(error_of("{{a}}", "{\"a\":null}"), "t.txt:1: `a` is null in the data");
    assert_string_equal(error_of("{{a}}", "{\"a\":[1]}"), "t.txt:1: `a` is a list in the data, not a text or number");
    assert_string_equal(error_of("{{#l}}\n{{x}}{{/l}}", "{\"l\":[{\"x\":1},{}]}"),
                        "t.txt:2: there is no `x` in the data");
}

TEST(lines_are_counted_from_where_the_text_begins_in_its_file)
{
    struct buf out = BUF_INIT(LIMIT);
    struct template template = {"t.txt", 3, slice_of("\n{{x}}"), false};
    json_t *data = json_object();
    err = (struct err)ERR_INIT;
    assert_false(template_render(&template, data, &out, &err));
    assert_string_equal(err.text, "t.txt:4: there is no `x` in the data");
    buf_clear(&out);
    json_decref(data);
}

TEST(integers_print_exactly_and_other_numbers_as_short_as_they_can)
{
    assert_string_equal(render("{{n}} {{m}}", "{\"n\":9007199254740993,\"m\":-9223372036854775808}"),
                        "9007199254740993 -9223372036854775808");
    assert_string_equal(render("{{n}} {{m}} {{k}}", "{\"n\":0.1,\"m\":230.0,\"k\":1e300}"), "0.1 230 1e+300");
    assert_string_equal(render("{{n}} {{m}}", "{\"n\":true,\"m\":false}"), "true false");
}

TEST(html_is_escaped_unless_three_braces_ask_for_it_raw)
{
    const char *data = "{\"a\":\"<b title='x'>\\\"&\"}";
    assert_string_equal(render_as("{{a}}", data, true), "&lt;b title=&#39;x&#39;&gt;&quot;&amp;");
    assert_string_equal(render_as("{{{a}}}", data, true), "<b title='x'>\"&");
    assert_string_equal(render("{{a}}", data), "<b title='x'>\"&");
}

TEST(a_section_repeats_for_each_item_of_a_list)
{
    assert_string_equal(render("{{#l}}[{{.}}]{{/l}}", "{\"l\":[1,\"two\",3]}"), "[1][two][3]");
    assert_string_equal(render("{{#l}}{{x}}{{unit}} {{/l}}", "{\"unit\":\"kW\",\"l\":[{\"x\":1},{\"x\":2}]}"),
                        "1kW 2kW ");
    assert_string_equal(
        render("{{#l}}{{#m}}{{.}}{{x}}{{/m}}{{/l}}", "{\"l\":[{\"x\":1,\"m\":[7,8]},{\"x\":2,\"m\":[9]}]}"), "718192");
}

TEST(a_section_asks_whether_there_is_a_value)
{
    const char *text = "{{#a}}yes{{/a}}{{^a}}no{{/a}}";
    assert_string_equal(render(text, "{}"), "no");
    assert_string_equal(render(text, "{\"a\":null}"), "no");
    assert_string_equal(render(text, "{\"a\":false}"), "no");
    assert_string_equal(render(text, "{\"a\":\"\"}"), "no");
    assert_string_equal(render(text, "{\"a\":[]}"), "no");
    assert_string_equal(render(text, "{\"a\":0}"), "yes");
    assert_string_equal(render(text, "{\"a\":{}}"), "yes");
    assert_string_equal(render("{{#a.b.c}}yes{{/a.b.c}}{{^a.b.c}}no{{/a.b.c}}", "{\"a\":{}}"), "no");
    assert_string_equal(render("{{#a}}{{.}}{{/a}}", "{\"a\":\"x\"}"), "x");
    assert_string_equal(render("{{#a}}{{b}}{{/a}}", "{\"a\":{\"b\":5}}"), "5");
}

TEST(a_section_tag_alone_on_its_line_takes_the_line_with_it)
{
    assert_string_equal(render("a\n{{#l}}\n- {{.}}\n  {{/l}}  \nb\n", "{\"l\":[1,2]}"), "a\n- 1\n- 2\nb\n");
    assert_string_equal(render("a\r\n{{! a\nremark }}\r\nb\r\n", "{}"), "a\r\nb\r\n");
    assert_string_equal(render("a\n{{#x}}\nb\n{{/x}}", "{\"x\":1}"), "a\nb\n");
    assert_string_equal(render("a {{! remark }}\nb", "{}"), "a \nb");
    assert_string_equal(render("{{x}}\n", "{\"x\":1}"), "1\n");
    assert_string_equal(error_of("{{! two\nlines }}\n{{x}}", "{}"), "t.txt:3: there is no `x` in the data");
}

TEST(a_mistake_is_found_even_in_a_section_that_is_skipped)
{
    assert_string_equal(error_of("{{#a}}{{#b}}{{/a}}", "{}"),
                        "t.txt:1: {{/a}} stands where `b` of line 1 is still open");
    assert_string_equal(error_of("x\n{{#a}}\n", "{}"), "t.txt:2: the section `a` is never closed");
    assert_string_equal(error_of("{{/a}}", "{}"), "t.txt:1: {{/a}} closes a section that was not opened");
    assert_string_equal(error_of("\n{{a", "{}"), "t.txt:2: a tag is not closed with }}");
    assert_string_equal(error_of("{{{a}}", "{}"), "t.txt:1: a tag is not closed with }}}");
    assert_non_null(strstr(error_of("{{#a}}{{> part}}{{/a}}", "{}"), "t.txt:1: `> part` is no tag of this language"));
    assert_non_null(strstr(error_of("{{}}", "{}"), "no tag"));
    assert_non_null(strstr(error_of("{{a..b}}", "{}"), "no tag"));
    assert_non_null(strstr(error_of("{{a.}}", "{}"), "no tag"));
}

TEST(what_comes_from_the_data_is_never_read_as_a_tag)
{
    assert_string_equal(render("{{a}}", "{\"a\":\"{{b}}\"}"), "{{b}}");
}

TEST(text_depth_and_repetitions_are_bounded)
{
    struct buf text = BUF_INIT(100000), data = BUF_INIT(100000);
    for (int i = 0; i <= TEMPLATE_DEPTH_MAX; i++)
        buf_add_text(&text, "{{#a}}");
    assert_string_equal(error_of(text.data, "{}"), "t.txt:1: sections are nested deeper than 32");

    buf_add_text(&data, "{\"l\":[0");
    for (int i = 1; i < 200; i++)
        buf_add_text(&data, ",0");
    buf_add_text(&data, "]}");
    assert_non_null(strstr(error_of("{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}", data.data), "too many items"));
    assert_non_null(strstr(error_of("{{#l}}{{#l}}xxxxxxxxxx{{/l}}{{/l}}", data.data), "larger than 10000 bytes"));
    buf_clear(&text);
    buf_clear(&data);
}
