"""Bangla in plots: the course's font, so that conjuncts come out as conjuncts on every machine."""


def use_bangla_font() -> None:
    """Makes Hind Siliguri matplotlib's font; letters it lacks come from matplotlib's own DejaVu Sans."""
    import fontpkg_hind_siliguri as font
    from matplotlib import font_manager, rcParams

    for file in (font.ROOT / "files").glob("*.ttf"):
        font_manager.fontManager.addfont(file)
    rcParams["font.family"] = [font.FAMILY, "DejaVu Sans"]
