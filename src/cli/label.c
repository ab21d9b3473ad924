/* SPDX-License-Identifier: Apache-2.0 */
/* cli/label - a unit's label drawn. Lengths are in hundredths of a millimetre until they are written. */
#include "cli/label.h"

#include <qrencode.h>
#include <stdarg.h>
#include <stdio.h>

#define BP_MODULE CLI

#define WIDTH  6000
#define HEIGHT 3000
#define CODE   2600 /* side of the QR code with its quiet zone of four modules */
#define QUIET  4
#define LEFT   2900 /* of the texts */

/* One line of text: how high its baseline lies below the top edge, how large it is, whether letters are of one width. */
struct line {
    char text[2 * 64 + 8];
    int baseline, size;
    bool mono;
};
#define LINES 5

static void put(bp_wr *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(bp_wr *w, const char *format, ...)
{
    char room[512];
    va_list ap;
    va_start(ap, format);
    const int n = vsnprintf(room, sizeof room, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof room) {
        bp_wr_fail(w, BP_FAIL(INTERNAL));
        return;
    }
    bp_wr_bytes(w, bp_span_of(room, (size_t)n));
}

void bp_label_text(const struct bp_label *label, char ret[BP_LABEL_TEXT])
{
    char hex[BP_DEVID_HEX];
    bp_devid_hex(label->id, hex);
    (void)snprintf(ret, BP_LABEL_TEXT, "BEDPLATE:%s", hex);
    for (size_t i = 0; ret[i] != '\0'; i++) {
        ret[i] = (char)(ret[i] >= 'a' && ret[i] <= 'f' ? ret[i] - 'a' + 'A' : ret[i]);
    }
}

static void set_line(struct line *l, int baseline, int size, bool mono, bp_span text)
{
    const size_t n = text.n < sizeof l->text ? text.n : sizeof l->text - 1;
    memcpy(l->text, text.p, n);
    l->text[n] = '\0';
    l->baseline = baseline;
    l->size = size;
    l->mono = mono;
}

/* The id in two lines, so that it can be read across a hall; then what else tells units apart. */
static void set_lines(const struct bp_label *label, struct line ret[LINES])
{
    char id[BP_DEVID_SHORT];
    bp_devid_short(label->id, id);
    set_line(&ret[0], 600, 420, true, bp_span_of(id, 11));
    set_line(&ret[1], 1050, 420, true, bp_span_of(id + 12, 11));
    set_line(&ret[2], 1700, 300, false, label->serial);
    set_line(&ret[3], 2150, 260, false, label->model);
    set_line(&ret[4], 2600, 260, false, label->maker);
}

static bp_result draw_code(const struct bp_label *label, QRcode **ret)
{
    char text[BP_LABEL_TEXT];
    bp_label_text(label, text);
    *ret = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    return *ret != NULL ? BP_OK : BP_FAIL(INTERNAL);
}

static bool is_dark(const QRcode *q, int x, int y)
{
    return (q->data[y * q->width + x] & 1u) != 0;
}

/* Calls for every run of dark modules of a row. */
typedef void run_fn(bp_wr *w, int x, int y, int n);

static void for_runs(const QRcode *q, bp_wr *w, run_fn *run)
{
    for (int y = 0; y < q->width; y++) {
        for (int x = 0; x < q->width; x++) {
            const int from = x;
            while (x < q->width && is_dark(q, x, y)) {
                x++;
            }
            if (x > from) {
                run(w, from, y, x - from);
            }
        }
    }
}

/* --- SVG --- */

static void svg_run(bp_wr *w, int x, int y, int n)
{
    put(w, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, n, n);
}

static void svg_text(bp_wr *w, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            put(w, "&amp;");
            break;
        case '<':
            put(w, "&lt;");
            break;
        case '>':
            put(w, "&gt;");
            break;
        default:
            bp_wr_u8(w, (uint8_t)*text);
            break;
        }
    }
}

bp_result bp_label_svg(const struct bp_label *label, uint8_t *ret, size_t cap, size_t *ret_n)
{
    QRcode *q = NULL;
    struct line line[LINES];
    bp_wr w = bp_wr_over(ret, cap);
    BP_TRY(draw_code(label, &q));
    set_lines(label, line);
    put(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60mm\" height=\"30mm\" viewBox=\"0 0 %d %d\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    put(&w, "<svg x=\"100\" y=\"200\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\"><path d=\"",
        CODE, CODE, q->width + 2 * QUIET, q->width + 2 * QUIET);
    for_runs(q, &w, svg_run);
    put(&w, "\"/></svg>\n");
    for (size_t i = 0; i < LINES; i++) {
        put(&w, "<text x=\"%d\" y=\"%d\" font-size=\"%d\" font-family=\"%s\">", LEFT, line[i].baseline, line[i].size,
            line[i].mono ? "monospace" : "sans-serif");
        svg_text(&w, line[i].text);
        put(&w, "</text>\n");
    }
    put(&w, "</svg>\n");
    QRcode_free(q);
    *ret_n = w.n;
    return bp_wr_finish(&w);
}

/* --- PDF --- */

/* A length in points, 72 to the inch: hundredths of a millimetre * 72 / 2540, to three places. */
static void put_points(bp_wr *w, int length)
{
    const int thousandths = length * 72000 / 2540;
    put(w, "%d.%03d ", thousandths / 1000, thousandths % 1000);
}

/* Modules as they are: the matrix set before makes them as large as they should be. */
static void pdf_run(bp_wr *w, int x, int y, int n)
{
    put(w, "%d %d %d 1 re\n", x + QUIET, -(y + QUIET + 1), n);
}

/* In the encoding of the two fonts, which hold what Latin-1 has; others become '?'. */
static void pdf_text(bp_wr *w, const char *text)
{
    for (const uint8_t *p = (const uint8_t *)text; *p != 0; p++) {
        if (*p < 0x80) {
            if (*p == '(' || *p == ')' || *p == '\\') {
                bp_wr_u8(w, '\\');
            }
            bp_wr_u8(w, *p);
        } else if ((*p == 0xc2 || *p == 0xc3) && p[1] >= 0xa0 - (*p == 0xc3 ? 0x20 : 0)) {
            put(w, "\\%03o", (unsigned)(*p == 0xc3 ? p[1] + 0x40u : p[1]));
            p++;
        } else if ((*p & 0xc0u) != 0x80) {
            bp_wr_u8(w, '?');
        }
    }
}

static void pdf_content(const QRcode *q, const struct line *line, bp_wr *w)
{
    const int modules = q->width + 2 * QUIET;
    put(w, "q ");
    put_points(w, CODE / modules);
    put(w, "0 0 ");
    put_points(w, CODE / modules);
    put_points(w, 100);
    put_points(w, HEIGHT - 200);
    put(w, "cm\n");
    for_runs(q, w, pdf_run);
    put(w, "f Q\n");
    for (size_t i = 0; i < LINES; i++) {
        put(w, "BT /F%d ", line[i].mono ? 1 : 2);
        put_points(w, line[i].size);
        put(w, "Tf ");
        put_points(w, LEFT);
        put_points(w, HEIGHT - line[i].baseline);
        put(w, "Td (");
        pdf_text(w, line[i].text);
        put(w, ") Tj ET\n");
    }
}

static void pdf_objects(const QRcode *q, const struct line *line, bp_wr *w)
{
    static const char *const font[] = {"Courier-Bold", "Helvetica"};
    size_t at[7] = {0};
    put(w, "%%PDF-1.4\n");
    at[1] = w->n;
    put(w, "1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n");
    at[2] = w->n;
    put(w, "2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n");
    at[3] = w->n;
    put(w, "3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ");
    put_points(w, WIDTH);
    put_points(w, HEIGHT);
    put(w, "] /Contents 4 0 R /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>\nendobj\n");
    at[4] = w->n;
    bp_wr measure = bp_wr_over(NULL, 0);
    pdf_content(q, line, &measure);
    put(w, "4 0 obj\n<< /Length %zu >>\nstream\n", measure.n);
    pdf_content(q, line, w);
    put(w, "endstream\nendobj\n");
    for (int i = 0; i < 2; i++) {
        at[5 + i] = w->n;
        put(w, "%d 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>\nendobj\n", 5 + i, font[i]);
    }
    const size_t table = w->n;
    put(w, "xref\n0 7\n0000000000 65535 f \n");
    for (int i = 1; i < 7; i++) {
        put(w, "%010zu 00000 n \n", at[i]);
    }
    put(w, "trailer\n<< /Size 7 /Root 1 0 R >>\nstartxref\n%zu\n%%%%EOF\n", table);
}

bp_result bp_label_pdf(const struct bp_label *label, uint8_t *ret, size_t cap, size_t *ret_n)
{
    QRcode *q = NULL;
    struct line line[LINES];
    bp_wr w = bp_wr_over(ret, cap);
    BP_TRY(draw_code(label, &q));
    set_lines(label, line);
    pdf_objects(q, line, &w);
    QRcode_free(q);
    *ret_n = w.n;
    return bp_wr_finish(&w);
}
