"""Reference values for plugins/baselines/tests/golden.rs, from scikit-learn. Prints the JSON:

    python plugins/baselines/tests/golden/tfidf.py > plugins/baselines/tests/golden/tfidf.json
"""

import json

import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

train = [
    "The soup was good, very good.", "Cold soup; a bad evening", "good bread and a good wine", "the wine was bad",
    "We waited, and waited, and left", "An evening to remember: good!", "bad bread, bad table", "the table by the window was fine",
    "Fine wine; fine evening.", "never again", "L'été was good", "the 2nd course was cold_ish",
]
labels = [1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0]
topics = [0, 0, 1, 1, 2, 2, 1, 2, 1, 2, 0, 0]
test = ["Good soup, good evening", "never a bad wine", "nothing that was seen", ""]

v = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+")
A, B = v.fit_transform(train), v.transform(test)
names = v.get_feature_names_out()
vectors = [{names[j]: float(row[0, j]) for j in row.nonzero()[1]} for row in [B[i] for i in range(len(test))]]
out = {"made_by": f"scikit-learn {sklearn.__version__}", "train": train, "labels": labels, "topics": topics, "test": test,
       "terms": len(names), "vectors": vectors, "fits": []}
for y, name in [(labels, "labels"), (topics, "topics")]:
    for c in [0.3, 10.0]:
        f = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(A, y)
        out["fits"].append({"of": name, "C": c, "probabilities": f.predict_proba(B).tolist()})
print(json.dumps(out, ensure_ascii=False))
