"""Metrics: how far a reconstruction is from its source, and how two rate-distortion curves compare.

    fidelity       PSNR, PSNR YUV 6:1:1, maximum error       structure   SSIM, MS-SSIM
    perceptual     SSIMULACRA 2, FLIP                         vmaf        VMAF, by ffmpeg's libvmaf
    learned        LPIPS, DISTS, by torch and local weights   rate_distortion   BD-rate, Pareto front
    fields         range PSNR, NRMSE, gradient, bound         field_structure   power spectrum, SSIM of slices

Every metric is a `spec.Metric`: `METRICS.get("ssim")(x, x_hat)` measures, `.recipe` says how. Importing these modules
imports NumPy only; whatever else a metric needs is imported when it measures, and `.missing()` says when it is absent.

The metrics of fidelity without a colour space (PSNR, maximum error) take arrays of any shape, those of fields too, and
know missing values. All others are metrics of pictures and see them through `pictures.pair`, which documents what
happens to alpha, 16 bits and floats. `Metric.signal` tells them apart.
"""
