"""The figures and tables of *Prepacking: A Simple Method for Fast Prefilling and Increased Throughput in Large
Language Models* (Zhao, Israel, Van den Broeck, Grover, AISTATS 2025, arXiv 2404.09529), made on this machine:

    python -m libprepack.paper list
    python -m libprepack.paper batch-sizes --model MODEL-DIR --out figures

docs/paper.md says what each shows, and how it differs from the paper's.
"""
