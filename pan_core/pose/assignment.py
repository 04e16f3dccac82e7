"""One-to-one assignment of least total cost, for the handful of people in a picture; NumPy only, as devices have no SciPy."""

import numpy as np


def assign(costs: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows and columns with the least total cost, as many as the shorter side has, by row.

    The Hungarian method with shortest augmenting paths (Jonker and Volgenant, 1987).

    Args:
        costs: (N, M), finite.
    """
    if costs.shape[0] > costs.shape[1]:
        return sorted((row, column) for column, row in assign(costs.T))
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    for start in range(rows):
        shortest, before, done = np.full(columns, np.inf), np.full(columns, -1), np.zeros(columns, dtype=bool)
        row, column, length = start, -1, 0.0
        while row >= 0:
            reduced = length + costs[row] - row_price[row] - column_price
            better = ~done & (reduced < shortest)
            shortest[better], before[better] = reduced[better], row
            column = int(np.where(done, np.inf, shortest).argmin())
            length, done[column] = float(shortest[column]), True
            row = int(owner[column])
        # Prices move so that the pairs made so far stay the cheapest of their rows.
        settled = done & (owner >= 0)
        row_price[owner[settled]] += length - shortest[settled]
        row_price[start] += length
        column_price[done] += shortest[done] - length
        while True:
            row = int(before[column])
            taken = np.flatnonzero(owner == row)
            owner[column] = row
            if row == start:
                break
            column = int(taken[0])
    return sorted((int(row), column) for column, row in enumerate(owner) if row >= 0)
