/* exposition.c - see exposition.h */
#include "core/admin/exposition.h"

#include "core/base/utf8.h"

#include <math.h>
#include <stdarg.h>

static const char *const type_names[] = {"counter", "gauge", "histogram"};

static void add_name(struct exposition *out, const char *name, enum exposition_type type)
{
    struct slice whole = slice_of(name);
    if (out->is_open_metrics && type == EXPOSITION_COUNTER)
        whole.size -= strlen("_total");
    buf_add_slice(&out->text, whole);
}

void exposition_family(struct exposition *out, const char *name, enum exposition_type type, const char *help)
{
    out->name = name;
    buf_add_text(&out->text, "# HELP ");
    add_name(out, name, type);
    buf_addf(&out->text, " %s\n# TYPE ", help);
    add_name(out, name, type);
    buf_addf(&out->text, " %s\n", type_names[type]);
}

/* Whole numbers as such, however large. */
static void add_value(struct buf *text, double value)
{
    if (isinf(value))
        buf_add_text(text, value > 0 ? "+Inf" : "-Inf");
    else if (value == (double)(int64_t)value)
        buf_add_number(text, (int64_t)value);
    else
        buf_addf(text, "%.15g", value);
}

/* Texts of people and far sides stand in label values: what is not UTF-8 would make the whole page unreadable. */
static void add_label(struct buf *text, const char *value)
{
    bool is_text = utf8_is_valid(slice_of(value));
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_add_char(text, '\\');
        if (*value == '\n')
            buf_add_text(text, "\\n");
        else
            buf_add_char(text, is_text || (unsigned char)*value < 0x80 ? *value : '?');
    }
}

void exposition_line(struct exposition *out, const char *suffix, double value, ...)
{
    const char *label;
    char before = '{';
    va_list labels;
    buf_add_text(&out->text, out->name);
    buf_add_text(&out->text, suffix);
    va_start(labels, value);
    while ((label = va_arg(labels, const char *))) {
        buf_add_char(&out->text, before);
        buf_addf(&out->text, "%s=\"", label);
        add_label(&out->text, va_arg(labels, const char *));
        buf_add_char(&out->text, '"');
        before = ',';
    }
    va_end(labels);
    buf_add_text(&out->text, before == ',' ? "} " : " ");
    add_value(&out->text, value);
    buf_add_char(&out->text, '\n');
}

void exposition_end(struct exposition *out)
{
    if (out->is_open_metrics)
        buf_add_text(&out->text, "# EOF\n");
}

const char *exposition_content_type(const struct exposition *out)
{
    return out->is_open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                : "text/plain; version=0.0.4; charset=utf-8";
}
