"""Watch a champion: has the data moved, does it still predict as well as when it was promoted, what should be done?"""
