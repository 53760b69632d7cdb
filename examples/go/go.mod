module prepack

go 1.19
