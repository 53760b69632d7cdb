/*
 * simplex.c: pivots. Columns are sparse, a few parts each; the inverse is dense, but a pivot
 * touches only the columns of it that are not zero in the pivot's row.
 */
#include "simplex.h"

#include <math.h>
#include <string.h>

#define EPSILON        1e-9
#define SHIFT          1e-7 /* of a demand, at most */
#define REFRESH_PIVOTS 128  /* between sums from scratch */
#define FLOPS_PER_STEP 64

static double cost_of(int32_t column)
{
    return column >= 0 ? 1 : 0;
}

/* The column's product with a row vector. */
static double dot_column(const struct master *master, int32_t column, const double *row,
                         int64_t stride)
{
    if (column < 0) {
        int64_t i = -1 - (int64_t)column;
        return (i + 1 < master->n ? row[(i + 1) * stride] : 0) - row[i * stride];
    }
    const struct patterns *columns = &master->columns;
    double sum = 0;
    for (int64_t j = columns->starts[column]; j < columns->starts[column + 1]; j++)
        sum += columns->parts[j].count * row[columns->parts[j].size * stride];
    return sum;
}

static double reduced_cost(const struct master *master, int32_t column)
{
    return cost_of(column) - dot_column(master, column, master->duals, 1);
}

static void add_scaled(double *restrict to, const double *restrict from, double factor, int32_t n)
{
    typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        *(pair *)(to + i) += factor * *(const pair *)(from + i);
        *(pair *)(to + i + 2) += factor * *(const pair *)(from + i + 2);
    }
    for (; i < n; i++)
        to[i] += factor * from[i];
}

/* direction = B^-1 * column. */
static void load_direction(struct master *master, int32_t column)
{
    int32_t n = master->n;
    memset(master->direction, 0, (size_t)n * sizeof *master->direction);
    if (column < 0) {
        int64_t i = -1 - (int64_t)column;
        add_scaled(master->direction, master->inverse + i * n, -1, n);
        if (i + 1 < n)
            add_scaled(master->direction, master->inverse + (i + 1) * n, 1, n);
        return;
    }
    const struct patterns *columns = &master->columns;
    for (int64_t j = columns->starts[column]; j < columns->starts[column + 1]; j++)
        add_scaled(master->direction, master->inverse + (int64_t)columns->parts[j].size * n,
                   columns->parts[j].count, n);
}

/* The inverse when the column of `direction` takes the place of row's. Returns the columns
 * touched. */
static int64_t update_inverse(struct master *master, int32_t row)
{
    int32_t n = master->n;
    double pivot = master->direction[row];
    int64_t n_touched = 0;
    for (int64_t k = 0; k < n; k++) {
        double *column = master->inverse + k * n;
        if (column[row] == 0)
            continue;
        double factor = column[row] / pivot;
        add_scaled(column, master->direction, -factor, n);
        column[row] = factor;
        n_touched++;
    }
    return n_touched;
}

/* Values and duals from the inverse. */
static void refresh(struct master *master)
{
    int32_t n = master->n;
    memset(master->values, 0, (size_t)n * sizeof *master->values);
    for (int64_t k = 0; k < n; k++) {
        const double *column = master->inverse + k * n;
        add_scaled(master->values, column, master->demands[k], n);
        double dual = 0;
        for (int32_t i = 0; i < n; i++)
            if (master->basis[i] >= 0)
                dual += column[i];
        master->duals[k] = dual;
    }
}

/* `column`, whose direction is loaded, replaces the basic column of a row. Returns steps. */
static int64_t exchange_columns(struct master *master, int32_t column, int32_t row)
{
    int32_t n = master->n;
    double pivot = master->direction[row];
    double value = master->values[row] / pivot;
    double change = reduced_cost(master, column) / pivot;
    for (int64_t k = 0; k < n; k++)
        master->duals[k] += change * master->inverse[k * n + row];
    for (int32_t i = 0; i < n; i++)
        master->values[i] -= value * master->direction[i];
    master->values[row] = value;
    int64_t n_touched = update_inverse(master, row);
    master->basis[row] = column;
    if (++master->n_pivots % REFRESH_PIVOTS == 0)
        refresh(master);
    return (n_touched + 4) * n / FLOPS_PER_STEP + 1;
}

/* The inverse from scratch: the basic columns enter a unit basis one after another, each in the row
 * where it is largest. */
static void invert(struct master *master)
{
    int32_t n = master->n;
    int32_t *columns = (int32_t *)master->values; /* set again below */
    memcpy(columns, master->basis, (size_t)n * sizeof *columns);
    memset(master->inverse, 0, (size_t)n * (size_t)n * sizeof *master->inverse);
    for (int64_t k = 0; k < n; k++) {
        master->inverse[k * n + k] = 1;
        master->basis[k] = INT32_MAX; /* a unit column */
    }
    for (int32_t j = 0; j < n; j++) {
        load_direction(master, columns[j]);
        int32_t row = -1;
        for (int32_t i = 0; i < n; i++)
            if (master->basis[i] == INT32_MAX &&
                (row < 0 || fabs(master->direction[i]) > fabs(master->direction[row])))
                row = i;
        if (fabs(master->direction[row]) < EPSILON) {
            master->broken = true;
            return;
        }
        update_inverse(master, row);
        master->basis[row] = columns[j];
    }
    refresh(master);
}

/* Do the values meet the demands? Inverts again where they do not. */
static void check(struct master *master)
{
    int32_t n = master->n;
    double *covered = master->direction;
    memset(covered, 0, (size_t)n * sizeof *covered);
    for (int32_t i = 0; i < n; i++) {
        int32_t column = master->basis[i];
        double value = master->values[i];
        if (column < 0) {
            int64_t k = -1 - (int64_t)column;
            covered[k] -= value;
            if (k + 1 < n)
                covered[k + 1] += value;
            continue;
        }
        const struct patterns *columns = &master->columns;
        for (int64_t j = columns->starts[column]; j < columns->starts[column + 1]; j++)
            covered[columns->parts[j].size] += value * columns->parts[j].count;
    }
    double worst = 0;
    for (int32_t i = 0; i < n; i++) {
        double error = fabs(covered[i] - master->demands[i]) / (1 + master->demands[i]);
        worst = error > worst || error != error ? error : worst;
    }
    if (!(worst < 1e-7))
        invert(master);
}

pp_status ppi_master_create(struct master *master, const struct size_counts *counts,
                            struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)counts->n;
    *master = (struct master){.n = counts->n};
    size_t n_elements;
    pp_status status = PP_OK;
    if (ppi_mul(n, n, &n_elements))
        master->inverse = ppi_zalloc(mem, n_elements, sizeof *master->inverse);
    master->demands = ppi_alloc(mem, n, 4 * sizeof *master->demands);
    master->basis = ppi_alloc(mem, n, sizeof *master->basis);
    if (!master->inverse || !master->demands || !master->basis) {
        status = ppi_error_nomem(err, "column generation", n * n * sizeof *master->inverse);
        goto fail;
    }
    master->values = master->demands + n;
    master->duals = master->values + n;
    master->direction = master->duals + n;
    for (size_t i = 0; i < n; i++) {
        int64_t fit = counts->capacity / counts->sizes[i];
        int32_t count = counts->counts[i] < fit ? counts->counts[i] : (int32_t)fit;
        const struct part part = {(int32_t)i, count};
        status = ppi_patterns_add(&master->columns, &part, 1, 1, mem, err);
        if (status < 0)
            goto fail;
        master->basis[i] = (int32_t)i;
        master->inverse[i * n + i] = 1.0 / count;
    }
    ppi_master_set_demands(master, counts->counts);
    return PP_OK;
fail:
    ppi_master_destroy(master, mem);
    return status;
}

void ppi_master_destroy(struct master *master, struct ppi_mem *mem)
{
    ppi_patterns_destroy(&master->columns, mem);
    ppi_free(mem, master->basis);
    ppi_free(mem, master->demands);
    ppi_free(mem, master->inverse);
    *master = (struct master){0};
}

void ppi_master_set_demands(struct master *master, const int32_t *demands)
{
    for (int32_t i = 0; i < master->n; i++) {
        uint32_t hash = (uint32_t)i * 0x9e3779b1u; /* scattered over the rows */
        master->demands[i] = demands[i] + SHIFT * ((double)hash * 0x1p-32 + 0.01);
    }
    refresh(master);
}

int64_t ppi_master_repair(struct master *master)
{
    int32_t n = master->n;
    int64_t steps = n / 8;
    for (int64_t left = 20 * (int64_t)n + 100; !master->broken; left--) {
        int32_t row = 0;
        for (int32_t i = 1; i < n; i++)
            row = master->values[i] < master->values[row] ? i : row;
        if (master->values[row] >= -EPSILON)
            break;
        /* the column whose reduced cost reaches 0 first as the row's leaves */
        int64_t best = INT64_MAX;
        double best_ratio = 0, best_weight = 0;
        for (int64_t column = -n; column < master->columns.n; column++) {
            double weight = dot_column(master, (int32_t)column, master->inverse + row, n);
            if (weight > -1e-7)
                continue;
            double cost = reduced_cost(master, (int32_t)column);
            double ratio = (cost > 0 ? cost : 0) / -weight;
            if (best == INT64_MAX || ratio < best_ratio - EPSILON ||
                (ratio < best_ratio + EPSILON && weight < best_weight)) {
                best = column;
                best_ratio = ratio;
                best_weight = weight;
            }
        }
        steps += master->columns.n_parts / 32;
        if (best == INT64_MAX || left == 0) {
            master->broken = true;
            break;
        }
        load_direction(master, (int32_t)best);
        steps += exchange_columns(master, (int32_t)best, row);
    }
    return steps;
}

int64_t ppi_master_improve(struct master *master, int64_t max_pivots)
{
    int32_t n = master->n;
    int64_t steps = 0;
    for (; max_pivots > 0 && !master->broken; max_pivots--) {
        int64_t entering = 0;
        double least = -EPSILON;
        for (int64_t column = -n; column < master->columns.n; column++) {
            double cost = reduced_cost(master, (int32_t)column);
            if (cost < least) {
                least = cost;
                entering = column;
            }
        }
        steps += master->columns.n_parts / 32 + 1;
        if (least == -EPSILON)
            break;
        load_direction(master, (int32_t)entering);
        int32_t row = -1;
        double most = 0;
        for (int32_t i = 0; i < n; i++) {
            double weight = master->direction[i];
            if (weight < 1e-7)
                continue;
            double value = master->values[i] > 0 ? master->values[i] : 0;
            double ratio = value / weight;
            if (row < 0 || ratio < most - 1e-12 ||
                (ratio < most + 1e-12 && weight > master->direction[row])) {
                row = i;
                most = ratio;
            }
        }
        if (row < 0) {
            master->broken = true;
            break;
        }
        steps += exchange_columns(master, (int32_t)entering, row);
    }
    check(master);
    return steps;
}
