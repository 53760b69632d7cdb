# table.awk: figures and goals as a table. usage: awk -f table.awk figures.txt goals.txt
# figures.txt: lines "KEY VALUE"; goals.txt says what its fields are.

function trim(text) {
    gsub(/^ +| +$/, "", text)
    return text
}

# The key without its "*", which says that the value is in seconds.
function known(key) {
    return substr(key, 1, 1) == "*" ? substr(key, 2) : key
}

function shown(key, value) {
    if (substr(key, 1, 1) == "*")
        value *= 1000
    if (value >= 1000)
        return sprintf("%.0f", value)
    return value >= 100 ? sprintf("%.1f", value) : sprintf("%.2f", value)
}

function line(a, b, c, d, e, f, g) {
    printf "%-45s %12s %-11s %-42s %10s %7s %s\n", a, b, c, d, e, f, g
}

# "met", "NOT MET" or "not measured", of one or more goals: the worst of theirs.
function outcome(goals, value, ratio,    n, i, each, missing) {
    n = split(goals, each, " ")
    missing = 0
    for (i = 1; i <= n; i++) {
        if (each[i] ~ /^>/) {
            if (value < substr(each[i], 2) + 0)
                return "NOT MET"
        } else if (ratio == "") {
            missing = 1
        } else if (ratio < each[i] + 0) {
            return "NOT MET"
        }
    }
    return n == 0 ? "" : missing ? "not measured" : "met"
}

FNR == NR {
    figure[$1] = $2
    next
}

/^#/ || NF == 0 {
    next
}

{
    split($0, field, "|")
    for (i = 1; i <= 7; i++)
        field[i] = trim(field[i])
    ours = known(field[2])
    theirs = known(field[6])
    if (!(ours in figure) || (theirs != "" && field[7] == "" && !(theirs in figure)))
        next
    if (!n++)
        line("what", "measured", "", "against", "measured", "ratio", "goal")
    value = figure[ours]
    rival = ratio = ""
    if (theirs != "" && theirs in figure) {
        rival = figure[theirs]
        if (field[4] == "lower" && value > 0)
            ratio = rival / value
        else if (field[4] == "higher" && rival > 0)
            ratio = value / rival
    }
    goal = field[7]
    met = outcome(goal, value, ratio)
    n_goals[met]++
    line(field[1], shown(field[2], value), field[3], field[5],
         rival == "" ? "" : shown(field[6], rival), ratio == "" ? "" : sprintf("%.2fx", ratio),
         goal == "" ? "" : goal " " met)
}

END {
    if (n)
        printf "goals: %d met, %d not met, %d not measured\n", n_goals["met"], n_goals["NOT MET"], \
            n_goals["not measured"]
}
