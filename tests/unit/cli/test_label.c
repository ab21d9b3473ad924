/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_label - the label's two forms; tests/e2e/test_factory.py reads them with other programs. */
#include "cli/label.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint8_t room[BP_LABEL_MAX + 1];

static struct bp_label sample(void)
{
    struct bp_label l = {.maker = BP_SPAN_STR("Acme & S\xc3\xb6hne"),
                         .model = BP_SPAN_STR("gw-1 <x>"),
                         .serial = BP_SPAN_STR("SN (7)\\")};
    for (size_t i = 0; i < sizeof l.id; i++) {
        l.id[i] = (uint8_t)(i == 0 ? 1 : 7 * i);
    }
    return l;
}

static bool has(size_t n, const char *text)
{
    room[n] = 0;
    return strlen((const char *)room) == n && strstr((const char *)room, text) != NULL;
}

BP_CASE(the_code_says_the_whole_id)
{
    const struct bp_label l = sample();
    char text[BP_LABEL_TEXT], hex[BP_DEVID_HEX];
    bp_label_text(&l, text);
    bp_devid_hex(l.id, hex);
    BP_CHECK(strlen(text) == 75 && strncmp(text, "BEDPLATE:01", 11) == 0 && strcasecmp(text + 9, hex) == 0);
    for (size_t i = 9; text[i] != 0; i++) {
        BP_CHECK((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'F'));
    }
}

BP_CASE(svg_holds_the_texts_escaped)
{
    const struct bp_label l = sample();
    char id[BP_DEVID_SHORT];
    size_t n = 0;
    bp_devid_short(l.id, id);
    id[11] = 0;
    BP_NEED(!bp_failed(bp_label_svg(&l, room, BP_LABEL_MAX, &n)) && n < BP_LABEL_MAX);
    BP_CHECK(has(n, ">Acme &amp; S\xc3\xb6hne<") && has(n, ">gw-1 &lt;x&gt;<") && has(n, ">SN (7)\\<"));
    BP_CHECK(has(n, id) && has(n, id + 12) && has(n, "</svg>\n"));
    const size_t whole = n;
    BP_CHECK(bp_is(bp_label_svg(&l, room, whole - 1, &n), BP_E_NO_SPACE) && n == whole);
}

BP_CASE(pdf_holds_the_texts_escaped_and_its_table)
{
    const struct bp_label l = sample();
    size_t n = 0;
    BP_NEED(!bp_failed(bp_label_pdf(&l, room, BP_LABEL_MAX, &n)) && n < BP_LABEL_MAX);
    BP_CHECK(has(n, "(Acme & S\\366hne)") && has(n, "(SN \\(7\\)\\\\)") && has(n, "(gw-1 <x>)"));
    /* Each row of the table points at its object. */
    room[n] = 0;
    const char *text = (const char *)room, *row = strstr(text, "0000000000 65535 f \n");
    BP_NEED(row != NULL);
    for (int i = 1; i < 7; i++) {
        char want[16];
        row += 20;
        const unsigned long at = strtoul(row, NULL, 10);
        (void)snprintf(want, sizeof want, "%d 0 obj\n", i);
        BP_CHECK(at < n && strncmp(text + at, want, strlen(want)) == 0);
    }
    const char *stream = strstr(text, "stream\n"), *end = strstr(text, "endstream");
    const char *length = strstr(text, "/Length ");
    BP_NEED(stream != NULL && end != NULL && length != NULL);
    BP_CHECK(strtoul(length + 8, NULL, 10) == (unsigned long)(end - stream - 7));
    const size_t whole = n;
    BP_CHECK(bp_is(bp_label_pdf(&l, room, whole - 1, &n), BP_E_NO_SPACE) && n == whole);
}

BP_CASE(what_the_font_lacks_becomes_a_question_mark)
{
    struct bp_label l = sample();
    size_t n = 0;
    l.maker = BP_SPAN_STR("\xe5\xb7\xa5\xc3\x84\xc2\xa7");
    BP_NEED(!bp_failed(bp_label_pdf(&l, room, BP_LABEL_MAX, &n)));
    BP_CHECK(has(n, "(?\\304\\247)"));
}

BP_SUITE(label, BP_RUN(the_code_says_the_whole_id) BP_RUN(svg_holds_the_texts_escaped)
                    BP_RUN(pdf_holds_the_texts_escaped_and_its_table) BP_RUN(what_the_font_lacks_becomes_a_question_mark))
