/*
 * unicode_tables.h: what every character is, in runs; made by unicode_tables.py. A run is
 * first character << 11 | value, and reaches to the next one; the first begins at 0.
 */
#ifndef PPI_UNICODE_TABLES_H
#define PPI_UNICODE_TABLES_H

#include <stdint.h>

/* The general category, in the value's low 5 bits; in the order of the script's CATEGORIES. */
enum {
    PPI_CN,
    PPI_LU,
    PPI_LL,
    PPI_LT,
    PPI_LM,
    PPI_LO,
    PPI_MN,
    PPI_MC,
    PPI_ME,
    PPI_ND,
    PPI_NL,
    PPI_NO,
    PPI_PC,
    PPI_PD,
    PPI_PS,
    PPI_PE,
    PPI_PI,
    PPI_PF,
    PPI_PO,
    PPI_SM,
    PPI_SC,
    PPI_SK,
    PPI_SO,
    PPI_ZS,
    PPI_ZL,
    PPI_ZP,
    PPI_CC,
    PPI_CF,
    PPI_CO,
    PPI_N_CATEGORIES,
};

/* And what the steps of a tokenizer.json ask for, of other versions of Unicode. */
enum {
    PPI_CHAR_PUNCTUATION = 1 << 5,
    PPI_CHAR_OTHER = 1 << 6,
    PPI_CHAR_MARK_NONSPACING = 1 << 7,
    PPI_CHAR_COMBINING = 1 << 8,
    PPI_CHAR_ALPHABETIC = 1 << 9,
    PPI_CHAR_NUMERIC = 1 << 10,
};

#define PPI_UNICODE_RUNS         4188
#define PPI_UNICODE_SCRIPT_RUNS  477
#define PPI_UNICODE_CHANGED_RUNS 155

extern const uint32_t ppi_unicode_runs[PPI_UNICODE_RUNS];
/* The script: 0, or one more than its place in the script's SCRIPTS. */
extern const uint32_t ppi_unicode_scripts[PPI_UNICODE_SCRIPT_RUNS];
/* Where Unicode 14, which PCRE2 10.40 to 10.42 knows, says another category: one more than that. */
extern const uint32_t ppi_unicode_changed[PPI_UNICODE_CHANGED_RUNS];

#define PPI_UNICODE_PAIRS      940
#define PPI_UNICODE_CLASS_RUNS 499

/* Characters that NFC joins, {second, first, both}, in order. */
extern const uint32_t ppi_unicode_pairs[3 * PPI_UNICODE_PAIRS];
/* The combining class. */
extern const uint32_t ppi_unicode_classes[PPI_UNICODE_CLASS_RUNS];

#endif
