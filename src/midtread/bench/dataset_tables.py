"""SHA-256 of the files of the named datasets, and where each number comes from. Data only."""

from __future__ import annotations

# scikit-image lists the same values in skimage/data/_registry.py; the files come with its wheel.
EXAMPLES_SHA256 = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}

# Computed from the original files of r0k.us; several public benchmark repositories pin the same 24 values.
KODAK_SHA256 = {
    "kodim01.png": "a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd",
    "kodim02.png": "4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd",
    "kodim03.png": "e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db",
    "kodim04.png": "e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa",
    "kodim05.png": "10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53",
    "kodim06.png": "363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18",
    "kodim07.png": "b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4",
    "kodim08.png": "ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7",
    "kodim09.png": "6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d",
    "kodim10.png": "9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23",
    "kodim11.png": "7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6",
    "kodim12.png": "d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980",
    "kodim13.png": "bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08",
    "kodim14.png": "55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e",
    "kodim15.png": "7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683",
    "kodim16.png": "a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54",
    "kodim17.png": "37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b",
    "kodim18.png": "1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa",
    "kodim19.png": "b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc",
    "kodim20.png": "3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a",
    "kodim21.png": "ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b",
    "kodim22.png": "1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29",
    "kodim23.png": "e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf",
    "kodim24.png": "1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96",
}

# The archive of ETH Zurich: tensorflow/datasets, tensorflow_datasets/url_checksums/clic.txt.
CLIC2020_PROFESSIONAL_VALID_ETH = "00be38092ade2ab5163b65f7f6523d46c7bca147007f559adbb02c0afc236b7d"
CLIC2020_PROFESSIONAL_VALID_ETH_BYTES = 134_834_429
# The archive of the challenge's own storage is another zip file (28 kB longer). One public benchmark (a texture-codec
# comparison that pins this download) gives the checksum, another one independently the length.
CLIC2020_PROFESSIONAL_VALID_GCS = "e56568e20ead6bd215b313fed260d1c98b9ba863540039f00892ab67b1e39baf"
CLIC2020_PROFESSIONAL_VALID_GCS_BYTES = 134_862_753

# tensorflow/datasets, tensorflow_datasets/url_checksums/div2k.txt; several other public repositories agree.
DIV2K_VALID_HR = "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc"
DIV2K_VALID_HR_BYTES = 448_993_893

# Computed from the files as we converted them to .npy; docs/datasets.md names their sources.
FIELDS_SHA256 = {
    "femm_B_3x47x47x47_f64.npy": "e523890ec8a762732a064175bf65c2052bd399f4295ff1ad54d997322ee8df68",
    "iris_ukhires_theta_3x7x204x187_f32.npy": "5fb487b3cb96343c3aed1b3a975332a711db46e7e82b393b78325357729e14d4",
    "isabel48_velmag_25x125x125_f64.npy": "ae12672f628ae87f5c791d22997034dda2a2a553c9622724b40900bbb1e020dc",
    "nemo_tos_fill1e20_330x360_f32.npy": "f1c4337811510c82977a0067001f932640c7a2a6635e80ebbd124fd986d5b4a0",
    "nyx_z255_6x32x32x32_f32.npy": "584f6cb119bfce6695546c3060640352796f22441d5e46077c06d21165e19069",
    "sperr_wmag91_91x91x91_f32.npy": "d9d7895b4bc6c17759199943af082910c608a32809e60ce593e028d717125e93",
}
