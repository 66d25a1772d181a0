"""Linear maps with a closed form: ridge regression and regularised CCA, from second moments only.

They are warm starts of the heads and baselines of the report. Everything is computed from sums of outer
products, so a pass reads the rows once, in chunks, and memory stays at a few (dim, dim) matrices whatever the
number of rows; a fold of the cross-validation is the total minus the fold's own sums.
"""

from multimodal_search.closed_form.maps import PENALTIES, fit_cca, fit_ridge
from multimodal_search.closed_form.moments import grouped_folds
from multimodal_search.closed_form.two_sided import fit_two_sided, mean_reciprocal_ranks

__all__ = ["PENALTIES", "fit_cca", "fit_ridge", "fit_two_sided", "grouped_folds", "mean_reciprocal_ranks"]
