/* What the theme's style sheet expects of tables. Debian's mkdocs 1.4 names this file and does not have it. */
document.querySelectorAll("div.rst-content table").forEach((table) => table.classList.add("docutils"));
