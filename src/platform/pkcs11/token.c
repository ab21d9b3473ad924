/* SPDX-License-Identifier: Apache-2.0 */
/* platform/pkcs11/token - see token.h. */
#include "platform/pkcs11/token.h"

#include "base/secret.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#include <dlfcn.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

#define BP_MODULE CRYPTO

#define SLOTS_MAX 64u
#define POINT_MAX 128u

/* --- modules: a process has one of each, whatever it opens from it --- */

static struct module {
    char path[BP_PKCS11_PATH_MAX + 1];
    struct _CK_FUNCTION_LIST *f;
    unsigned generation; /* counts how often it was started; handles of an earlier one mean nothing */
    bool is_up;
} modules[BP_PKCS11_MODULES_MAX];

static unsigned long last_rv;

unsigned long bp_pkcs11_trace(void)
{
    return last_rv;
}

static bool is_good(CK_RV rv)
{
    if (rv != CKR_OK) {
        last_rv = rv;
    }
    return rv == CKR_OK;
}

/* What a refusal means to a caller. */
static bp_result fail(CK_RV rv)
{
    switch (rv) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_EXPIRED:
    case CKR_PIN_LOCKED:
        return BP_FAIL(DENIED);
    case CKR_HOST_MEMORY:
        return BP_FAIL(NO_MEMORY);
    default:
        return BP_FAIL(CLOSED);
    }
}

static bp_result start(struct module *m)
{
    /* No threads of its own, and none of ours call it: no locks. */
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS};
    if (m->is_up) {
        return BP_OK;
    }
    CK_RV rv = m->f->C_Initialize(&args);
    if (rv == CKR_ARGUMENTS_BAD || rv == CKR_NEED_TO_CREATE_THREADS) {
        rv = m->f->C_Initialize(NULL);
    }
    if (rv != CKR_CRYPTOKI_ALREADY_INITIALIZED && !is_good(rv)) {
        return fail(rv);
    }
    m->is_up = true;
    m->generation++;
    return BP_OK;
}

static void stop(struct module *m)
{
    if (m->is_up) {
        (void)is_good(m->f->C_Finalize(NULL));
        m->is_up = false;
    }
}

static bp_result load(const char *path, struct module **ret)
{
    struct module *m = NULL;
    const size_t n = strlen(path);
    for (size_t i = 0; i < BP_PKCS11_MODULES_MAX && m == NULL && n < sizeof modules[0].path; i++) {
        if (modules[i].f == NULL || strcmp(modules[i].path, path) == 0) {
            m = &modules[i];
        }
    }
    if (m == NULL) {
        return BP_FAIL(LIMIT);
    }
    if (m->f == NULL) {
        CK_C_GetFunctionList get = NULL;
        void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (so == NULL) {
            return BP_FAIL(NOT_FOUND);
        }
        void *symbol = dlsym(so, "C_GetFunctionList");
        memcpy(&get, &symbol, sizeof get); /* ISO C knows no way from one kind of pointer to the other */
        if (get == NULL || !is_good(get(&m->f)) || m->f == NULL) {
            m->f = NULL;
            (void)dlclose(so);
            return BP_FAIL(UNSUPPORTED);
        }
        memcpy(m->path, path, n + 1);
    }
    *ret = m;
    return BP_OK;
}

/* --- a key's way to its token --- */

struct seat {
    struct bp_pkcs11_uri uri;
    uint8_t pin[BP_PKCS11_PIN_MAX + 1];
    size_t pin_n;
    struct module *m;
    size_t half; /* bytes of one coordinate */
    bool is_refused; /* the PIN: never again */
    bool is_open;
    unsigned generation;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
};

static bool is_padded(const unsigned char *field, size_t n, const char *want)
{
    const size_t len = strlen(want);
    if (len > n || memcmp(field, want, len) != 0) {
        return false;
    }
    for (size_t i = len; i < n; i++) {
        if (field[i] != ' ' && field[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_token(const struct seat *s, const CK_TOKEN_INFO *t)
{
    return (s->uri.token[0] == 0 || is_padded(t->label, sizeof t->label, s->uri.token)) &&
           (s->uri.serial[0] == 0 || is_padded(t->serialNumber, sizeof t->serialNumber, s->uri.serial));
}

static bp_result find_slot(const struct seat *s, CK_SLOT_ID *ret, CK_TOKEN_INFO *ret_info)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG n = SLOTS_MAX;
    size_t found = 0;
    const CK_RV rv = s->m->f->C_GetSlotList(CK_TRUE, slots, &n);
    if (!is_good(rv)) {
        return fail(rv);
    }
    for (CK_ULONG i = 0; i < n && i < SLOTS_MAX; i++) {
        CK_TOKEN_INFO info;
        if (is_good(s->m->f->C_GetTokenInfo(slots[i], &info)) && is_token(s, &info)) {
            *ret = slots[i];
            *ret_info = info;
            found++;
        }
    }
    return found == 1 ? BP_OK : BP_FAIL(CLOSED); /* not one: which of two is not ours to guess */
}

static bp_result log_in(struct seat *s, CK_FLAGS more)
{
    CK_SLOT_ID slot = 0;
    CK_TOKEN_INFO info;
    BP_TRY(find_slot(s, &slot, &info));
    CK_RV rv = s->m->f->C_OpenSession(slot, CKF_SERIAL_SESSION | more, NULL, NULL, &s->session);
    if (!is_good(rv)) {
        return fail(rv);
    }
    rv = s->m->f->C_Login(s->session, CKU_USER, s->pin, s->pin_n);
    if (rv != CKR_USER_ALREADY_LOGGED_IN && !is_good(rv)) {
        const bp_result r = fail(rv);
        s->is_refused = bp_is(r, BP_E_DENIED);
        (void)is_good(s->m->f->C_CloseSession(s->session));
        return r;
    }
    s->generation = s->m->generation;
    return BP_OK;
}

static void set(CK_ATTRIBUTE *a, CK_ATTRIBUTE_TYPE type, void *v, size_t n)
{
    *a = (CK_ATTRIBUTE){type, v, n};
}

/* The one object of the class that the URI names. */
static bp_result find_object(struct seat *s, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *ret)
{
    CK_KEY_TYPE ec = CKK_EC;
    CK_ATTRIBUTE want[4];
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    size_t n = 0;
    set(&want[n++], CKA_CLASS, &class, sizeof class);
    set(&want[n++], CKA_KEY_TYPE, &ec, sizeof ec);
    if (s->uri.object[0] != 0) {
        set(&want[n++], CKA_LABEL, s->uri.object, strlen(s->uri.object));
    }
    if (s->uri.id_n > 0) {
        set(&want[n++], CKA_ID, s->uri.id, s->uri.id_n);
    }
    CK_RV rv = s->m->f->C_FindObjectsInit(s->session, want, n);
    if (is_good(rv)) {
        rv = s->m->f->C_FindObjects(s->session, found, 2, &count);
        (void)is_good(s->m->f->C_FindObjectsFinal(s->session));
    }
    if (!is_good(rv)) {
        return fail(rv);
    }
    if (count != 1) {
        return count == 0 ? BP_FAIL(NOT_FOUND) : BP_FAIL(MISMATCH);
    }
    *ret = found[0];
    return BP_OK;
}

static void leave(struct seat *s)
{
    if (s->is_open && s->m->is_up && s->generation == s->m->generation) {
        (void)is_good(s->m->f->C_CloseSession(s->session));
    }
    s->is_open = false;
}

static bp_result enter_session(struct seat *s, CK_FLAGS more)
{
    if (s->is_refused) {
        return BP_FAIL(DENIED);
    }
    BP_TRY(start(s->m));
    BP_TRY(log_in(s, more));
    s->is_open = true;
    return BP_OK;
}

static bp_result enter(struct seat *s)
{
    BP_TRY(enter_session(s, 0));
    const bp_result r = find_object(s, CKO_PRIVATE_KEY, &s->key);
    if (bp_failed(r)) {
        leave(s);
        return BP_FAIL(CLOSED);
    }
    return BP_OK;
}

static bp_result sign_once(struct seat *s, bp_span digest, uint8_t *ret)
{
    CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
    uint8_t in[BP_HASH_MAX];
    CK_ULONG n = 2 * s->half;
    if (!s->is_open || !s->m->is_up || s->generation != s->m->generation) {
        return BP_FAIL(CLOSED);
    }
    memcpy(in, digest.p, digest.n);
    CK_RV rv = s->m->f->C_SignInit(s->session, &ecdsa, s->key);
    if (is_good(rv)) {
        rv = s->m->f->C_Sign(s->session, in, digest.n, ret, &n);
    }
    if (!is_good(rv)) {
        return fail(rv);
    }
    return n == 2 * s->half ? BP_OK : BP_FAIL(CLOSED);
}

/* Whatever the token did not do, one fresh start is worth its while: no module tells a lost token in one way. */
static bp_result sign(void *self, bp_span digest, uint8_t *ret)
{
    struct seat *s = self;
    if (!bp_failed(sign_once(s, digest, ret))) {
        return BP_OK;
    }
    leave(s);
    if (s->is_refused) {
        return BP_FAIL(DENIED);
    }
    bp_result r = enter(s); /* a key beside it may have started the module again */
    if (!bp_failed(r)) {
        r = sign_once(s, digest, ret);
    }
    if (bp_failed(r) && !s->is_refused) {
        leave(s);
        stop(s->m);
        r = enter(s);
        if (!bp_failed(r)) {
            r = sign_once(s, digest, ret);
        }
    }
    if (bp_failed(r)) {
        leave(s);
    }
    return r;
}

static void free_seat(void *self)
{
    struct seat *s = self;
    leave(s);
    bp_free_secret(s, sizeof *s);
}

/* --- opening --- */

static bp_result read_pin(struct seat *s, const char *file)
{
    uint8_t *text = NULL;
    size_t n = 0;
    BP_TRY(bp_file_read(file, BP_FILE_SECRET, BP_PKCS11_PIN_MAX + 1, &text, &n));
    const uint8_t *end = memchr(text, '\n', n);
    const size_t pin = end == NULL ? n : (size_t)(end - text);
    bp_result r = pin == 0 ? BP_FAIL(MALFORMED) : pin > BP_PKCS11_PIN_MAX ? BP_FAIL(LIMIT) : BP_OK;
    if (!bp_failed(r)) {
        memcpy(s->pin, text, pin);
        s->pin_n = pin;
    }
    bp_free_secret(text, n);
    return r;
}

static bp_result new_seat(const struct bp_pkcs11_uri *uri, const char *pin_file, struct seat **ret)
{
    struct seat *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    s->uri = *uri;
    bp_result r = read_pin(s, pin_file);
    if (!bp_failed(r)) {
        r = load(uri->module, &s->m);
    }
    if (bp_failed(r)) {
        free_seat(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

/* Takes the seat over, also on failure. */
static bp_result wrap(struct seat *s, bp_span spki, struct bp_key **ret)
{
    const struct bp_key_seat seat = {s, sign, free_seat};
    struct bp_key *key = NULL;
    const bp_result r = bp_key_elsewhere(spki, &seat, &key);
    if (bp_failed(r)) {
        free_seat(s);
        return r;
    }
    s->half = bp_key_public(key).a.n;
    *ret = key;
    return BP_OK;
}

bp_result bp_pkcs11_key_open(const struct bp_pkcs11_uri *uri, const char *pin_file, bp_span spki, struct bp_key **ret)
{
    struct seat *s = NULL;
    BP_TRY(new_seat(uri, pin_file, &s));
    BP_TRY(wrap(s, spki, ret));
    BP_IGNORE(enter(s), "signing tries again, and says so");
    return BP_OK;
}

/* --- making --- */

static const uint8_t oid_p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
static const uint8_t oid_p384[] = {6, 5, 0x2b, 0x81, 4, 0, 0x22};
/* SubjectPublicKeyInfo up to the point (RFC 5480). */
static const uint8_t spki_p256[] = {0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86,
                                    0x48, 0xce, 0x3d, 3,    1, 7, 3,    0x42, 0};
static const uint8_t spki_p384[] = {0x30, 0x76, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2,
                                    1,    6,    5,    0x2b, 0x81, 4, 0, 0x22, 3, 0x62, 0};

static bp_result generate(struct seat *s, enum bp_key_type type, CK_OBJECT_HANDLE *ret_public)
{
    CK_MECHANISM how = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    uint8_t oid[sizeof oid_p256];
    const size_t oid_n = type == BP_KEY_P256 ? sizeof oid_p256 : sizeof oid_p384;
    memcpy(oid, type == BP_KEY_P256 ? oid_p256 : oid_p384, oid_n);
    const size_t name = strlen(s->uri.object);
    CK_ATTRIBUTE public[] = {{CKA_EC_PARAMS, oid, oid_n},
                             {CKA_TOKEN, &yes, sizeof yes},
                             {CKA_VERIFY, &yes, sizeof yes},
                             {CKA_LABEL, s->uri.object, name},
                             {CKA_ID, s->uri.object, name}};
    CK_ATTRIBUTE private[] = {{CKA_TOKEN, &yes, sizeof yes},         {CKA_PRIVATE, &yes, sizeof yes},
                              {CKA_SENSITIVE, &yes, sizeof yes},     {CKA_EXTRACTABLE, &no, sizeof no},
                              {CKA_SIGN, &yes, sizeof yes},          {CKA_LABEL, s->uri.object, name},
                              {CKA_ID, s->uri.object, name}};
    const CK_RV rv = s->m->f->C_GenerateKeyPair(s->session, &how, public, sizeof public / sizeof public[0], private,
                                                sizeof private / sizeof private[0], ret_public, &s->key);
    return is_good(rv) ? BP_OK : fail(rv);
}

/* The point is an OCTET STRING around the bytes; some modules leave the wrapping out. */
static bp_result read_spki(struct seat *s, CK_OBJECT_HANDLE public, enum bp_key_type type, uint8_t *ret, size_t *ret_n)
{
    uint8_t point[POINT_MAX];
    CK_ATTRIBUTE a = {CKA_EC_POINT, point, sizeof point};
    const size_t want = type == BP_KEY_P256 ? 65 : 97;
    const size_t head = type == BP_KEY_P256 ? sizeof spki_p256 : sizeof spki_p384;
    const CK_RV rv = s->m->f->C_GetAttributeValue(s->session, public, &a, 1);
    if (!is_good(rv)) {
        return fail(rv);
    }
    const size_t skip = a.ulValueLen == want + 2 && point[0] == 4 && point[1] == want ? 2 : 0;
    if (a.ulValueLen != want + skip || point[skip] != 4) {
        return BP_FAIL(UNSUPPORTED);
    }
    memcpy(ret, type == BP_KEY_P256 ? spki_p256 : spki_p384, head);
    memcpy(ret + head, point + skip, want);
    *ret_n = head + want;
    return BP_OK;
}

static bp_result make_in(struct seat *s, enum bp_key_type type, uint8_t *ret_spki, size_t *ret_n)
{
    CK_OBJECT_HANDLE public = 0;
    BP_TRY(enter_session(s, CKF_RW_SESSION));
    const bp_result there = find_object(s, CKO_PRIVATE_KEY, &s->key);
    if (!bp_is(there, BP_E_NOT_FOUND)) {
        return bp_failed(there) && !bp_is(there, BP_E_MISMATCH) ? there : BP_FAIL(EXISTS);
    }
    BP_TRY(generate(s, type, &public));
    return read_spki(s, public, type, ret_spki, ret_n);
}

bp_result bp_pkcs11_key_make(const struct bp_pkcs11_uri *uri, const char *pin_file, enum bp_key_type type,
                             struct bp_key **ret)
{
    struct seat *s = NULL;
    uint8_t spki[sizeof spki_p384 + 97];
    size_t n = 0;
    if (uri->object[0] == 0 || (type != BP_KEY_P256 && type != BP_KEY_P384)) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(new_seat(uri, pin_file, &s));
    const bp_result r = make_in(s, type, spki, &n);
    if (bp_failed(r)) {
        free_seat(s);
        return r;
    }
    leave(s); /* a TPM has room for three keys at a time: the next one may need what this one holds */
    return wrap(s, bp_span_of(spki, n), ret);
}

static bp_result destroy_in(struct seat *s)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
    BP_TRY(enter_session(s, CKF_RW_SESSION));
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        CK_OBJECT_HANDLE object = 0;
        const bp_result r = find_object(s, classes[i], &object);
        if (bp_is(r, BP_E_NOT_FOUND)) {
            continue; /* some tokens take the other half along */
        }
        BP_TRY(r);
        const CK_RV rv = s->m->f->C_DestroyObject(s->session, object);
        if (!is_good(rv)) {
            return fail(rv);
        }
    }
    return BP_OK;
}

bp_result bp_pkcs11_key_destroy(const struct bp_pkcs11_uri *uri, const char *pin_file)
{
    struct seat *s = NULL;
    if (uri->object[0] == 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    BP_TRY(new_seat(uri, pin_file, &s));
    const bp_result r = destroy_in(s);
    free_seat(s);
    return r;
}

/* --- looking --- */

static bool flag(struct seat *s, CK_ATTRIBUTE_TYPE type, bool otherwise)
{
    CK_BBOOL v = CK_FALSE;
    CK_ATTRIBUTE a = {type, &v, sizeof v};
    return is_good(s->m->f->C_GetAttributeValue(s->session, s->key, &a, 1)) ? v != CK_FALSE : otherwise;
}

static void copy_padded(char *ret, const unsigned char *field, size_t n)
{
    while (n > 0 && (field[n - 1] == ' ' || field[n - 1] == 0)) {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        ret[i] = field[i] < 0x20 || field[i] >= 0x7f ? '?' : (char)field[i];
    }
    ret[n] = 0;
}

static bp_result look_in(struct seat *s, struct bp_pkcs11_facts *ret)
{
    CK_SLOT_ID slot = 0;
    CK_TOKEN_INFO info;
    BP_TRY(find_slot(s, &slot, &info));
    copy_padded(ret->token, info.label, sizeof info.label);
    copy_padded(ret->model, info.model, sizeof info.model);
    /* What a token does not say is taken for the worse. */
    ret->can_leave = flag(s, CKA_EXTRACTABLE, true) || !flag(s, CKA_SENSITIVE, false);
    ret->was_always_there = flag(s, CKA_NEVER_EXTRACTABLE, false) && flag(s, CKA_LOCAL, false);
    return BP_OK;
}

bp_result bp_pkcs11_key_look(const struct bp_pkcs11_uri *uri, const char *pin_file, bp_span spki,
                             struct bp_pkcs11_facts *ret)
{
    static const uint8_t zeros[BP_HASH_MAX];
    struct seat *s = NULL;
    struct bp_key *key = NULL;
    uint8_t signature[BP_SIG_MAX];
    BP_TRY(new_seat(uri, pin_file, &s));
    BP_TRY(wrap(s, spki, &key)); /* the key owns the seat now */
    bp_result r = bp_key_sign_digest(key, bp_span_of(zeros, s->half), signature);
    if (!bp_failed(r)) {
        r = look_in(s, ret);
    }
    bp_key_free(key);
    return r;
}
