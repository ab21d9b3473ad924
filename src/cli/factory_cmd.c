/* SPDX-License-Identifier: Apache-2.0 */
/* cli/factory_cmd - the commands of a factory's folder: init, order, add, batch, show. */
#include "cli/factory_cmd.h"

#include <stdio.h>

#include "base/secret.h"
#include "cli/owner.h"
#include "cli/pem.h"
#include "codec/x509.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE CLI

#define CSR_MAX (16u << 10)
#define PEM_MAX (16u << 10)

int bp_factory_tell(struct bp_cli *cli, const struct bp_factory *f, bp_result r)
{
    const enum bp_error e = bp_error_of(r);
    const int code = e == BP_E_BAD_ARGUMENT ? BP_EXIT_USAGE
                     : e == BP_E_LIMIT || e == BP_E_EXISTS || e == BP_E_NOT_FOUND || e == BP_E_REPLAYED || e == BP_E_MISMATCH
                         ? BP_EXIT_NO
                         : BP_EXIT_FAIL;
    return bp_tell(cli, code, "%s", f->said[0] != '\0' ? f->said : bp_error_text(e));
}

/* Opens the folder of --dir, runs, closes it. */
typedef int factory_fn(struct bp_cli *cli, const struct bp_args *args, struct bp_factory *f);

static int with_factory(struct bp_cli *cli, const struct bp_args *args, factory_fn *fn)
{
    struct bp_factory f;
    const bp_result r = bp_factory_open(&f, cli->crypto, args->value[BP_O_DIR]);
    const int code = bp_failed(r) ? bp_factory_tell(cli, &f, r) : fn(cli, args, &f);
    bp_factory_close(&f);
    return code;
}

void bp_print_quoted(FILE *out, bp_span text)
{
    fputc('"', out);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\') {
            fputc('\\', out);
        }
        fputc(text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i], out);
    }
    fputc('"', out);
}

/* --- init --- */

/* SHA-256 of the key that signs manifests: what a plant names at the first import. */
static bp_result maker_hash(struct bp_factory *f, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t *der = NULL;
    size_t n = 0;
    struct bp_x509 cert;
    BP_TRY(bp_factory_cert(f, "maker", &der, &n));
    bp_result r = bp_x509_read(bp_span_of(der, n), &cert);
    if (!bp_failed(r)) {
        r = bp_hash(f->crypto, BP_HASH_SHA256, cert.spki, ret);
    }
    bp_free(der);
    return r;
}

int bp_cmd_factory_init(struct bp_cli *cli, const struct bp_args *args)
{
    struct bp_factory f;
    char passphrase[BP_FACTORY_PASSPHRASE + 1];
    uint8_t hash[BP_SHA256_SIZE];
    bp_result r = bp_factory_make(&f, cli->crypto, args->value[BP_O_DIR], args->value[BP_O_NAME], args->value[BP_O_MARK],
                                  passphrase);
    if (bp_failed(r)) {
        return bp_factory_tell(cli, &f, r);
    }
    (void)snprintf(f.dir, sizeof f.dir, "%s", args->value[BP_O_DIR]);
    r = maker_hash(&f, hash);
    if (!bp_failed(r)) {
        fputs(cli->json ? "{\"maker\": \"" : "maker key   ", cli->out);
        bp_print_hex(cli->out, BP_SPAN_OF(hash));
        fprintf(cli->out,
                cli->json ? "\", \"passphrase\": \"%s\", \"mark\": "
                          : "\npassphrase  %s (shown once, kept nowhere: every key of the folder opens with it)\nmark        ",
                passphrase);
        if (cli->json) {
            bp_print_quoted(cli->out, bp_span_cstr(f.mark));
            fputs("}\n", cli->out);
        } else {
            fprintf(cli->out, "%s\nMove root-key.pem out of the folder now; it is not needed again before another authority is.\n",
                    f.mark);
        }
    }
    bp_wipe(passphrase, sizeof passphrase);
    return bp_failed(r) ? bp_factory_tell(cli, &f, r) : BP_EXIT_OK;
}

/* --- order and show --- */

static void print_order(struct bp_cli *cli, bp_span name, const struct bp_factory_order *o)
{
    if (cli->json) {
        fputs("{\"order\": ", cli->out);
        bp_print_quoted(cli->out, name);
    } else {
        bp_print_text(cli->out, name);
    }
    fprintf(cli->out, cli->json ? ", \"units\": %llu, \"quota\": %llu, \"open\": %llu, \"batches\": %llu}"
                                : ": %llu of %llu units, %llu of them in no batch yet; %llu batches",
            (unsigned long long)o->units, (unsigned long long)o->quota, (unsigned long long)o->open,
            (unsigned long long)o->batches);
}

static int order(struct bp_cli *cli, const struct bp_args *args, struct bp_factory *f)
{
    uint64_t quota = 0;
    struct bp_factory_order o;
    if (!bp_args_number(args->value[BP_O_QUOTA], &quota)) {
        return bp_tell(cli, BP_EXIT_USAGE, "--quota: not a number");
    }
    bp_result r = bp_factory_order_new(f, args->operand[0], quota);
    if (!bp_failed(r)) {
        r = bp_factory_order_of(f, bp_span_cstr(args->operand[0]), &o);
    }
    if (bp_failed(r)) {
        return bp_factory_tell(cli, f, r);
    }
    print_order(cli, bp_span_cstr(args->operand[0]), &o);
    fputc('\n', cli->out);
    return BP_EXIT_OK;
}

static bp_result print_orders(struct bp_cli *cli, struct bp_factory *f)
{
    struct bp_entry e;
    struct bp_factory_order o;
    size_t at = 0;
    bool first = true;
    bp_result r = BP_OK;
    while (!bp_failed(r = bp_book_next(&f->book, &at, &e))) {
        if (e.kind != BP_ENTRY_ORDER) {
            continue;
        }
        BP_TRY(bp_factory_order_of(f, e.order, &o));
        fputs(!cli->json ? "" : first ? "" : ", ", cli->out);
        print_order(cli, e.order, &o);
        fputs(cli->json ? "" : "\n", cli->out);
        first = false;
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

static int show(struct bp_cli *cli, const struct bp_args *args, struct bp_factory *f)
{
    uint8_t hash[BP_SHA256_SIZE];
    (void)args;
    bp_result r = maker_hash(f, hash);
    if (!bp_failed(r)) {
        fputs(cli->json ? "{\"name\": " : "maker       ", cli->out);
        if (cli->json) {
            bp_print_quoted(cli->out, bp_span_cstr(f->maker));
        } else {
            bp_print_text(cli->out, bp_span_cstr(f->maker));
        }
        fputs(cli->json ? ", \"maker\": \"" : "\nmaker key   ", cli->out);
        bp_print_hex(cli->out, BP_SPAN_OF(hash));
        fputs(cli->json ? "\", \"orders\": [" : "\n", cli->out);
        r = print_orders(cli, f);
        fputs(cli->json ? "]}\n" : "", cli->out);
    }
    return bp_failed(r) ? bp_factory_tell(cli, f, r) : BP_EXIT_OK;
}

/* --- one unit --- */

static int issue(struct bp_cli *cli, struct bp_factory *f, struct bp_adding *a, bp_span spki)
{
    char path[BP_FACTORY_PATH_MAX];
    struct bp_key *key = NULL;
    struct bp_issuer issuer;
    uint8_t *ca = NULL;
    size_t ca_n = 0;
    bp_result r = bp_factory_key_path(f, BP_FACTORY_IDEVID, path);
    const int code = bp_failed(r) ? bp_factory_tell(cli, f, r) : bp_cli_open_key(cli, path, &key);
    if (code != BP_EXIT_OK) {
        return code;
    }
    const struct bp_signer signer = bp_key_signer(key);
    r = bp_factory_cert(f, "idevid", &ca, &ca_n);
    if (!bp_failed(r)) {
        r = bp_issuer_of(bp_span_of(ca, ca_n), &signer, &issuer);
    }
    const struct bp_cert_request q = {.profile = BP_CERT_IDEVID,
                                      .spki = spki,
                                      .common_name = a->unit.entry.model,
                                      .organisation = bp_span_cstr(f->maker),
                                      .serial_number = a->unit.entry.serial,
                                      .not_before_ms = bp_wall_ms(&f->clock),
                                      .not_after_ms = INT64_MAX};
    if (!bp_failed(r)) {
        r = bp_cert_issue(f->crypto, &f->entropy, &issuer, &q, a->cert, sizeof a->cert, &a->cert_n);
    }
    bp_key_free(key);
    bp_free(ca);
    if (bp_is(r, BP_E_BAD_ARGUMENT)) {
        return bp_tell(cli, BP_EXIT_USAGE, "a serial number in a certificate is of letters, digits, dots and hyphens");
    }
    if (!bp_failed(r)) {
        r = bp_unit_certified(f->crypto, bp_span_of(a->cert, a->cert_n), &a->unit, a->idevid);
    }
    return bp_failed(r) ? bp_factory_tell(cli, f, r) : BP_EXIT_OK;
}

/* SHORT.NAME in the folder of --labels. */
static bool write_beside(struct bp_cli *cli, const struct bp_adding *a, const char *name, bp_span contents)
{
    char id[BP_DEVID_SHORT], path[BP_FACTORY_PATH_MAX];
    bp_devid_short(a->unit.id, id);
    const int n = snprintf(path, sizeof path, "%s/%s.%s", a->labels, id, name);
    if (n < 0 || (size_t)n >= sizeof path) {
        return bp_tell(cli, 0, "%s: the name is too long", a->labels) != 0;
    }
    return bp_cli_write(cli, path, contents);
}

static bool write_certificate(struct bp_cli *cli, struct bp_factory *f, const struct bp_adding *a)
{
    uint8_t *ca = NULL, text[PEM_MAX];
    size_t ca_n = 0;
    bp_wr w = bp_wr_over(text, sizeof text);
    bp_result r = bp_factory_cert(f, "idevid", &ca, &ca_n);
    if (bp_failed(r)) {
        return bp_factory_tell(cli, f, r) == BP_EXIT_OK;
    }
    bp_pem_write(&w, "CERTIFICATE", bp_span_of(a->cert, a->cert_n));
    bp_pem_write(&w, "CERTIFICATE", bp_span_of(ca, ca_n));
    bp_free(ca);
    r = bp_wr_finish(&w);
    return bp_failed(r) ? bp_tell_failure(cli, a->labels, r) == BP_EXIT_OK : write_beside(cli, a, "pem", bp_wr_span(&w));
}

static bool write_label(struct bp_cli *cli, struct bp_factory *f, const struct bp_adding *a)
{
    struct bp_label label = {.maker = bp_span_cstr(f->maker), .model = a->unit.entry.model, .serial = a->unit.entry.serial};
    uint8_t *room = bp_alloc(BP_LABEL_MAX);
    size_t n = 0;
    memcpy(label.id, a->unit.id, sizeof label.id);
    bp_result r = room != NULL ? bp_label_svg(&label, room, BP_LABEL_MAX, &n) : BP_FAIL(NO_MEMORY);
    bool ok = !bp_failed(r) && write_beside(cli, a, "svg", bp_span_of(room, n));
    if (ok) {
        r = bp_label_pdf(&label, room, BP_LABEL_MAX, &n);
        ok = !bp_failed(r) && write_beside(cli, a, "pdf", bp_span_of(room, n));
    }
    if (bp_failed(r)) {
        bp_tell_failure(cli, "the label", r);
    }
    bp_free(room);
    return ok;
}

static int enter(struct bp_cli *cli, struct bp_factory *f, const char *order, bp_span spki, struct bp_adding *a)
{
    bp_span certificate;
    bp_result r = bp_factory_may_add(f, order, &a->unit.entry, &a->known, &certificate);
    if (bp_failed(r)) {
        return bp_factory_tell(cli, f, r);
    }
    if (a->known && certificate.n <= sizeof a->cert) {
        memcpy(a->cert, certificate.p != NULL ? certificate.p : a->cert, certificate.n);
        a->cert_n = certificate.n;
        return BP_EXIT_OK;
    }
    const int code = spki.n != 0 ? issue(cli, f, a, spki) : BP_EXIT_OK;
    if (code != BP_EXIT_OK) {
        return code;
    }
    r = bp_factory_add(f, order, &a->unit.entry, bp_span_of(a->cert, a->cert_n), &a->known, &certificate);
    return bp_failed(r) ? bp_factory_tell(cli, f, r) : BP_EXIT_OK;
}

int bp_factory_take(struct bp_cli *cli, struct bp_factory *f, const char *order, bp_span hello, bp_span csr,
                    struct bp_adding *a)
{
    const char *why = "";
    bp_span spki = BP_SPAN_EMPTY;
    bp_result r = hello.n != 0 ? bp_unit_from_hello(f->crypto, hello, &a->unit, &why) : BP_OK;
    if (!bp_failed(r) && csr.n != 0) {
        r = bp_unit_add_csr(f->crypto, csr, &a->unit, &spki, &why);
    }
    if (bp_failed(r)) {
        return bp_tell(cli, BP_EXIT_NO, "unit %s: %s", a->serial, why);
    }
    a->unit.entry.serial = bp_span_cstr(a->serial);
    a->unit.entry.model = bp_span_cstr(a->model);
    const int code = enter(cli, f, order, spki, a);
    if (code != BP_EXIT_OK) {
        return code;
    }
    /* Counted and on the disk: now it may leave the folder. */
    if (a->labels != NULL && (!write_label(cli, f, a) || (a->cert_n != 0 && !write_certificate(cli, f, a)))) {
        return BP_EXIT_FAIL;
    }
    return BP_EXIT_OK;
}

void bp_factory_print_unit(struct bp_cli *cli, struct bp_factory *f, const char *order, const struct bp_adding *a,
                           int64_t took_ms)
{
    struct bp_factory_order o = {0};
    char id[BP_DEVID_SHORT], hex[BP_DEVID_HEX];
    bp_devid_short(a->unit.id, id);
    bp_devid_hex(a->unit.id, hex);
    BP_IGNORE(bp_factory_order_of(f, bp_span_cstr(order), &o), "the unit is in it; only its numbers would be missing");
    if (cli->json) {
        fprintf(cli->out, "{\"device\": \"%s\", \"short\": \"%s\", \"serial\": ", hex, id);
        bp_print_quoted(cli->out, a->unit.entry.serial);
        fprintf(cli->out, ", \"known\": %s, \"units\": %llu, \"quota\": %llu", a->known ? "true" : "false",
                (unsigned long long)o.units, (unsigned long long)o.quota);
        if (took_ms >= 0) {
            fprintf(cli->out, ", \"took_ms\": %lld", (long long)took_ms);
        }
        fputs("}\n", cli->out);
    } else {
        bp_print_text(cli->out, a->unit.entry.serial);
        fprintf(cli->out, " is %s%s, %llu of %llu units of order %s", id, a->known ? ", entered before" : "",
                (unsigned long long)o.units, (unsigned long long)o.quota, order);
        if (took_ms >= 0) {
            fprintf(cli->out, ", in %lld.%lld s", (long long)(took_ms / 1000), (long long)(took_ms / 100 % 10));
        }
        fputc('\n', cli->out);
    }
    (void)fflush(cli->out);
}

/* The request as DER, from a file in PEM or DER. */
static int read_csr(struct bp_cli *cli, const char *path, uint8_t *room, bp_span *ret)
{
    uint8_t *bytes = NULL;
    size_t n = 0, at = 0;
    if (!bp_cli_read(cli, path, CSR_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    bp_result r = bp_pem_next(bp_span_of(bytes, n), &at, "CERTIFICATE REQUEST", room, CSR_MAX, ret);
    if (bp_is(r, BP_E_NOT_FOUND)) { /* the older name of the same */
        at = 0;
        r = bp_pem_next(bp_span_of(bytes, n), &at, "NEW CERTIFICATE REQUEST", room, CSR_MAX, ret);
    }
    bp_free(bytes);
    return bp_failed(r) ? bp_tell(cli, BP_EXIT_NO, "%s: no certificate request in it", path) : BP_EXIT_OK;
}

static int add(struct bp_cli *cli, const struct bp_args *args, struct bp_factory *f)
{
    struct bp_adding a = {.serial = args->value[BP_O_SERIAL],
                          .model = args->value[BP_O_MODEL],
                          .labels = args->value[BP_O_LABELS]};
    uint8_t *hello = NULL, *room = bp_alloc(CSR_MAX);
    size_t hello_n = 0;
    bp_span csr = BP_SPAN_EMPTY;
    int code = room != NULL ? BP_EXIT_OK : BP_EXIT_FAIL;
    if (args->operands == 0 && !bp_args_has(args, BP_O_CSR)) {
        code = bp_tell(cli, BP_EXIT_USAGE, "a unit file, --csr, or both");
    }
    if (bp_args_has(args, BP_O_CSR) && a.labels == NULL) {
        code = bp_tell(cli, BP_EXIT_USAGE, "--csr needs --labels: the certificate is written there");
    }
    if (code == BP_EXIT_OK && args->operands != 0 && !bp_cli_read(cli, args->operand[0], BP_UNIT_FILE_MAX, &hello, &hello_n)) {
        code = BP_EXIT_FAIL;
    }
    if (code == BP_EXIT_OK && bp_args_has(args, BP_O_CSR)) {
        code = read_csr(cli, args->value[BP_O_CSR], room, &csr);
    }
    if (code == BP_EXIT_OK) {
        code = bp_factory_take(cli, f, args->value[BP_O_ORDER], bp_span_of(hello, hello_n), csr, &a);
    }
    if (code == BP_EXIT_OK) {
        bp_factory_print_unit(cli, f, args->value[BP_O_ORDER], &a, -1);
    }
    bp_free(hello);
    bp_free(room);
    return code;
}

/* --- batch --- */

static int hand_out(struct bp_cli *cli, const char *from, const char *to)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (!bp_cli_read(cli, from, BP_MANIFEST_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    const bool ok = bp_cli_write(cli, to, bp_span_of(bytes, n));
    bp_free(bytes);
    return ok ? BP_EXIT_OK : BP_EXIT_FAIL;
}

static int batch(struct bp_cli *cli, const struct bp_args *args, struct bp_factory *f)
{
    const char *order = args->value[BP_O_ORDER], *out = args->value[BP_O_OUT];
    char path[BP_FACTORY_PATH_MAX];
    struct bp_key *key = NULL;
    uint64_t number = 0;
    uint32_t units = 0;
    bp_result r = bp_factory_key_path(f, BP_FACTORY_MAKER, path);
    int code = bp_failed(r) ? bp_factory_tell(cli, f, r) : bp_cli_open_key(cli, path, &key);
    if (code != BP_EXIT_OK) {
        return code;
    }
    const struct bp_signer signer = bp_key_signer(key);
    r = bp_factory_batch(f, order, key, &signer, &number, &units, path);
    bp_key_free(key);
    code = bp_failed(r) ? bp_factory_tell(cli, f, r) : hand_out(cli, path, out);
    if (code == BP_EXIT_OK && cli->json) {
        fprintf(cli->out, "{\"batch\": %llu, \"units\": %u, \"new\": %s}\n", (unsigned long long)number, (unsigned)units,
                units != 0 ? "true" : "false");
    } else if (code == BP_EXIT_OK && units != 0) {
        fprintf(cli->out, "batch %llu of order %s, %u units: %s\n", (unsigned long long)number, order, (unsigned)units, out);
    } else if (code == BP_EXIT_OK) {
        fprintf(cli->out, "nothing is open in order %s; batch %llu is written again: %s\n", order, (unsigned long long)number,
                out);
    }
    return code;
}

int bp_cmd_factory_order(struct bp_cli *cli, const struct bp_args *args)
{
    return with_factory(cli, args, order);
}

int bp_cmd_factory_show(struct bp_cli *cli, const struct bp_args *args)
{
    return with_factory(cli, args, show);
}

int bp_cmd_factory_add(struct bp_cli *cli, const struct bp_args *args)
{
    return with_factory(cli, args, add);
}

int bp_cmd_factory_batch(struct bp_cli *cli, const struct bp_args *args)
{
    return with_factory(cli, args, batch);
}
